"""An outage that comes and goes is one outage in the log."""

from structlog.testing import capture_logs

from listener.queue.down_partitions import STEADY_S, DownPartitions


class ClockedPartitions:
    """DownPartitions, and a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.outages = DownPartitions(lambda: self.now)


def test_an_outage_that_begins_again_within_seconds_is_logged_once() -> None:
    clocked = ClockedPartitions()
    with capture_logs() as logs:
        for _ in range(150):
            clocked.outages.mark_down(0, "refused")
            assert clocked.outages.numbers == {0}
            clocked.outages.mark_up(0)
            assert clocked.outages.numbers == frozenset()
            clocked.now += STEADY_S / 2
            clocked.outages.log_ends()
        clocked.now += STEADY_S
        clocked.outages.log_ends()
        clocked.outages.log_ends()
    assert [(line["event"], line.get("outages")) for line in logs] == [
        ("redis does not confirm; spooling", None),
        ("redis confirms again", 150),
    ]


def test_outages_that_lie_apart_are_logged_each_with_its_cause() -> None:
    clocked = ClockedPartitions()
    with capture_logs() as logs:
        for detail in ("first", "second"):
            clocked.outages.mark_down(1, detail)
            clocked.outages.mark_up(1)
            clocked.now += STEADY_S
            clocked.outages.log_ends()
    assert [line.get("detail") for line in logs] == ["first", None, "second", None]


def test_an_outage_that_lasts_is_not_logged_as_over() -> None:
    clocked = ClockedPartitions()
    with capture_logs() as logs:
        clocked.outages.mark_down(0, "refused")
        clocked.outages.mark_up(0)
        clocked.outages.mark_down(0, "refused")
        clocked.now += 10 * STEADY_S
        clocked.outages.log_ends(at_once=True)
    assert [line["event"] for line in logs] == ["redis does not confirm; spooling"]


def test_partitions_are_logged_apart() -> None:
    clocked = ClockedPartitions()
    with capture_logs() as logs:
        clocked.outages.mark_down(0, "a")
        clocked.outages.mark_down(1, "b")
        clocked.outages.mark_up(0)
        clocked.outages.log_ends(at_once=True)
    assert [(line["event"].split()[1], line["partition"]) for line in logs] == [
        ("does", 0),
        ("does", 1),
        ("confirms", 0),
    ]
