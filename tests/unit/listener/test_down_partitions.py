"""An outage that comes and goes is one outage in the log."""

from structlog.testing import capture_logs

from listener.queue.down_partitions import STEADY_S, DownPartitions


class World:
    """DownPartitions, and a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0
        self.outages = DownPartitions(lambda: self.now)


def test_an_outage_that_begins_again_within_seconds_is_logged_once() -> None:
    world = World()
    with capture_logs() as logs:
        for _ in range(150):
            world.outages.mark_down(0, "refused")
            assert world.outages.numbers == {0}
            world.outages.mark_up(0)
            assert world.outages.numbers == frozenset()
            world.now += STEADY_S / 2
            world.outages.log_ends()
        world.now += STEADY_S
        world.outages.log_ends()
        world.outages.log_ends()
    assert [(line["event"], line.get("outages")) for line in logs] == [
        ("redis does not confirm; spooling", None),
        ("redis confirms again", 150),
    ]


def test_outages_that_lie_apart_are_logged_each_with_its_cause() -> None:
    world = World()
    with capture_logs() as logs:
        for detail in ("first", "second"):
            world.outages.mark_down(1, detail)
            world.outages.mark_up(1)
            world.now += STEADY_S
            world.outages.log_ends()
    assert [line.get("detail") for line in logs] == ["first", None, "second", None]


def test_an_outage_that_lasts_is_not_logged_as_over() -> None:
    world = World()
    with capture_logs() as logs:
        world.outages.mark_down(0, "refused")
        world.outages.mark_up(0)
        world.outages.mark_down(0, "refused")
        world.now += 10 * STEADY_S
        world.outages.log_ends(at_once=True)
    assert [line["event"] for line in logs] == ["redis does not confirm; spooling"]


def test_partitions_are_logged_apart() -> None:
    world = World()
    with capture_logs() as logs:
        world.outages.mark_down(0, "a")
        world.outages.mark_down(1, "b")
        world.outages.mark_up(0)
        world.outages.log_ends(at_once=True)
    assert [(line["event"].split()[1], line["partition"]) for line in logs] == [
        ("does", 0),
        ("does", 1),
        ("confirms", 0),
    ]
