"""`group list` and `group drop` on a real Redis: one group goes, and nothing else changes."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from listener.cli import common
from listener.inspection.consumer_groups import HANDED_BACK, REQUEUED
from listener.inspection.group_changes import group_drop
from listener.inspection.group_changes.group_drop import drop_group
from listener.queue.keys import Partition
from listener.queue.retention import Retention
from testbed.polling import wait_until
from tests.support.cli import DEAD, STREAM, add, bury, listed, read, run
from tests.support.consumer_runs import GROUP, consumer, is_done, running
from tests.support.queue_load import settings

pytestmark = pytest.mark.redis_flavour

OTHER_STREAM = Partition("fota", 1).messages


@pytest.fixture
def groups(redis_client: Any) -> Any:
    """Three messages; `billing` has read two and acknowledged one, `dashboard` has read none."""
    for name in ("billing", "dashboard"):
        redis_client.xgroup_create(STREAM, name, "0", mkstream=True)
    for number in range(3):
        add(redis_client, number, at=f"{number + 1}000-0")
    redis_client.xack(STREAM, "billing", read(redis_client, "billing", count=2)[0])
    return redis_client


def names(client: Any, stream: str = STREAM) -> list[str]:
    return [row["name"] for row in client.xinfo_groups(stream)]


def drop(url: str, *words: str, **environ: str) -> Any:
    return run(url, "group", "drop", *words, **environ)


def is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every consumer counts as gone for long."""
    monkeypatch.setattr(group_drop, "ACTIVE_MS", 0)
    monkeypatch.setattr("listener.cli.groups.group.ACTIVE_MS", 0)


def test_unused_group_is_dropped_after_asking_and_another_stays(
    redis_url: str, groups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = drop(redis_url, "dashboard")
    assert (alone.exit_code, "add --yes" in alone.stderr) == (2, True)
    monkeypatch.setattr(common, "is_interactive", lambda: True)
    assert drop(redis_url, "dashboard", answer="n\n").exit_code == 1
    assert names(groups) == ["billing", "dashboard"]
    before = groups.xinfo_groups(STREAM)[0]
    done = drop(redis_url, "dashboard", answer="y\n")
    assert (done.exit_code, "The group dashboard was dropped." in done.stdout) == (0, True)
    assert "LOSSY: 3 messages not delivered to dashboard yet" in done.stdout
    assert groups.xinfo_groups(STREAM) == [before]
    assert groups.xlen(STREAM) == 3


def test_group_at_work_or_with_pending_messages_is_refused_without_force(
    redis_url: str, groups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = drop(redis_url, "billing", "--yes")
    assert (at_work.exit_code, "a consumer was at work" in at_work.stderr) == (1, True)
    is_idle(monkeypatch)
    held = drop(redis_url, "billing", "--yes")
    assert (held.exit_code, "1 message is pending" in held.stderr) == (1, True)
    dry = drop(redis_url, "billing", "--dry-run")
    assert (dry.exit_code, "It needs --force" in dry.stdout) == (0, True)
    assert names(groups) == ["billing", "dashboard"]
    forced = drop(redis_url, "--group", "billing", "--force", "--yes")
    assert (forced.exit_code, "and 1 pending message will not" in forced.stdout) == (0, True)
    assert names(groups) == ["dashboard"]


@pytest.mark.parametrize("name", [REQUEUED, HANDED_BACK])
def test_what_waits_for_a_consumer_is_pending_and_no_consumer_at_work(
    redis_url: str, groups: Any, name: str
) -> None:
    groups.xclaim(STREAM, "dashboard", name, 0, ["1000-0"], force=True)
    result = drop(redis_url, "dashboard", "--yes")
    assert (result.exit_code, "1 message is pending" in result.stderr) == (1, True)
    groups.xack(STREAM, "dashboard", "1000-0")
    assert drop(redis_url, "dashboard", "--yes").exit_code == 0


def test_dead_letters_are_kept_unless_they_are_to_go(redis_url: str, groups: Any) -> None:
    bury(groups, "2000-0")
    kept = drop(redis_url, "billing", "--force", "--yes")
    assert (kept.exit_code, "1 dead letter will be kept" in kept.stdout) == (0, True)
    assert groups.xlen(DEAD) == 1
    gone = drop(redis_url, "billing", "--yes")
    assert (gone.exit_code, "dead drop --group billing --all" in gone.stderr) == (2, True)
    groups.xgroup_create(STREAM, "billing", "0")
    deleted = drop(redis_url, "billing", "--dead-letters", "--yes")
    assert (deleted.exit_code, "and 1 dead letter deleted" in deleted.stdout) == (0, True)
    assert (groups.exists(DEAD), groups.xlen(STREAM)) == (0, 3)


def test_every_dead_letter_that_will_be_deleted_is_counted_before(
    redis_url: str, groups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury(groups, "2000-0")
    elsewhere = [Partition("fota", number).dead("billing") for number in (1, 2)]
    for stream in elsewhere:
        groups.xadd(stream, {"error": "x"})
    is_idle(monkeypatch)
    kept = drop(redis_url, "billing", "--dry-run", QUEUE_PARTITIONS="3")
    assert "3 dead letters will be kept" in kept.stdout
    words = ("billing", "--dead-letters", "--yes")
    gone = drop(redis_url, *words, QUEUE_PARTITIONS="3")
    assert "3 dead letters will be deleted for good" in gone.stdout
    assert "and 3 dead letters deleted" in gone.stdout
    assert groups.exists(DEAD, *elsewhere) == 0


def test_group_is_dropped_in_every_partition_that_has_it(redis_url: str, groups: Any) -> None:
    add(groups, 9, partition=1)
    groups.xgroup_create(OTHER_STREAM, "dashboard", "0")
    groups.xgroup_create(OTHER_STREAM, "billing", "0")
    (total, other) = listed(run(redis_url, "group", "list", "--json", QUEUE_PARTITIONS="3"))
    assert (total["partitions"], total["unread"], total["pending"]) == ([0, 1], 2, 1)
    assert (other["group"], other["unread"]) == ("dashboard", 4)
    assert drop(redis_url, "dashboard", "--yes", QUEUE_PARTITIONS="3").exit_code == 0
    assert (names(groups), names(groups, OTHER_STREAM)) == (["billing"], ["billing"])


def test_partition_where_somebody_came_meanwhile_keeps_the_group_and_is_named(
    redis_url: str, groups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(groups, 9, partition=1)
    groups.xgroup_create(OTHER_STREAM, "dashboard", "0")

    def read_before(client: Any, partition: Partition, *words: Any, **options: Any) -> Any:
        if partition.number == 1:
            groups.xreadgroup("dashboard", "late", {OTHER_STREAM: ">"})
        return drop_group(client, partition, *words, **options)

    monkeypatch.setattr(group_drop, "drop_group", read_before)
    result = drop(redis_url, "dashboard", "--yes", QUEUE_PARTITIONS="2")
    assert result.exit_code == 1
    assert "a consumer is at work in partition 1 meanwhile" in result.stderr
    assert "was dropped in 1 partition" in result.stderr
    assert (names(groups), names(groups, OTHER_STREAM)) == (["billing"], ["dashboard"])


@pytest.mark.parametrize("name", ["x", "", "bill*", "billing ", "-", "\x1b[2J"])
def test_group_that_is_not_there_is_an_error_in_a_sentence(
    redis_url: str, groups: Any, name: str
) -> None:
    result = drop(redis_url, "--yes", "--", name)
    assert (result.exit_code, "there are: billing, dashboard" in result.stderr) == (2, True)
    assert result.stderr.replace("\n", "").isprintable()
    assert names(groups) == ["billing", "dashboard"]


@pytest.mark.parametrize("words", [(), ("a", "--group", "a")])
def test_group_is_named_once(redis_url: str, groups: Any, words: tuple[str, ...]) -> None:
    assert drop(redis_url, *words).exit_code == 2


def test_namespace_without_a_stream_or_a_group_says_so(redis_url: str, redis_client: Any) -> None:
    assert "no stream yet in the namespace fota" in run(redis_url, "group", "list").stderr
    assert "no stream yet" in drop(redis_url, "x").stderr
    add(redis_client, 1)
    empty = run(redis_url, "group", "list", "--json")
    assert (empty.exit_code, empty.stdout, "no consumer group" in empty.stderr) == (0, "", True)


def test_retention_trims_what_was_kept_for_the_dropped_group_alone(
    redis_url: str, groups: Any
) -> None:
    retention = Retention(settings(redis_url, RETENTION_HOURS="1"))
    groups.xack(STREAM, "billing", "2000-0", *read(groups, "billing"))
    retention.run_once()
    assert groups.xlen(STREAM) == 3
    assert drop(redis_url, "dashboard", "--yes").exit_code == 0
    retention.run_once()
    retention.stop()
    assert groups.xlen(STREAM) == 0


def test_consumer_of_a_group_that_is_dropped_by_force_makes_it_again(
    redis_url: str, redis_client: Any
) -> None:
    handled: list[str] = []
    add(redis_client, 1, at="1000-0")
    with capture_logs(), running(consumer(redis_url, lambda it: handled.append(it.entry_id))):
        wait_until(lambda: is_done(redis_client))
        refused = drop(redis_url, GROUP, "--yes")
        assert (refused.exit_code, "makes the group again" in refused.stderr) == (1, True)
        assert drop(redis_url, GROUP, "--yes", "--force").exit_code == 0
        wait_until(lambda: handled == ["1000-0"] * 2)
        wait_until(lambda: is_done(redis_client))
