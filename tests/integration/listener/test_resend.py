"""`resend` on a real Redis: one group gets an entry once more, and nothing else changes."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from listener.queue.keys import Partition
from testbed.polling import wait_until
from tests.support.cli import STREAM, add, listed, read, run
from tests.support.consumer_runs import GROUP, consumer, is_done, running

pytestmark = pytest.mark.redis_flavour

GROUPS = ("billing", "dashboard", GROUP)
IMEI = "990013907835573"


@pytest.fixture
def groups(redis_client: Any) -> Any:
    """Three groups that have read and acknowledged three of four messages."""
    for name in GROUPS:
        redis_client.xgroup_create(STREAM, name, "0", mkstream=True)
    for number in range(4):
        add(redis_client, number, at=f"{number + 1}000-0")
    for name in GROUPS:
        redis_client.xack(STREAM, name, *read(redis_client, name, count=3))
    return redis_client


def state(client: Any) -> dict[str, tuple[str, int]]:
    """Each group's cursor and number of pending entries."""
    rows = client.xinfo_groups(STREAM)
    return {row["name"]: (row["last-delivered-id"], row["pending"]) for row in rows}


def resend(url: str, *words: str, **environ: str) -> Any:
    return run(url, "resend", "--group", GROUP, *words, **environ)


def test_one_entry_is_handled_once_more_in_one_of_three_groups(redis_url: str, groups: Any) -> None:
    groups.xack(STREAM, GROUP, *read(groups, GROUP))
    before, handled = state(groups), []
    result = resend(redis_url, "2000-0")
    assert (result.exit_code, result.stdout) == (
        0,
        f"2000-0: is pending again\n1 message given to {GROUP} again.\n",
    )
    assert state(groups) == {**before, GROUP: (before[GROUP][0], 1)}
    with capture_logs(), running(consumer(redis_url, lambda it: handled.append(it.entry_id))):
        wait_until(lambda: handled)
        wait_until(lambda: is_done(groups))
    assert handled == ["2000-0"]
    assert state(groups) == before


def test_what_the_group_gets_anyway_or_never_is_left_alone(redis_url: str, groups: Any) -> None:
    assert resend(redis_url, "1000-0").exit_code == 0
    before = state(groups)
    groups.xdel(STREAM, "3000-0")
    for entry, says in (
        ("1000-0", "is pending already, with requeued (0 deliveries)"),
        ("4000-0", "was not read by the group yet"),
        ("3000-0", "is not in the stream"),
        ("9000-0", "is not in the stream"),
    ):
        result = resend(redis_url, entry)
        assert (result.exit_code, says in result.stderr) == (1, True), result.output
        assert f"0 messages given to {GROUP} again" in result.stdout
    assert state(groups) == before


def test_ids_beyond_what_a_double_holds_are_compared_exactly(
    redis_url: str, redis_client: Any
) -> None:
    low, high = "9007199254740993-18446744073709551614", "9007199254740993-18446744073709551615"
    redis_client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    for entry in (low, high):
        add(redis_client, 1, at=entry)
    redis_client.xack(STREAM, GROUP, *read(redis_client, GROUP, count=1))
    assert resend(redis_url, low).exit_code == 0
    assert "not read" in resend(redis_url, high).stderr


@pytest.mark.parametrize(
    ("words", "entries"),
    [
        (("--upgrade", "u-1"), ["2000-0"]),
        (("--from", "1500", "--to", "3500"), ["2000-0", "3000-0"]),
        (("--since", "start", "--limit", "2"), ["1000-0", "2000-0"]),
        (("--from", "start"), ["1000-0", "2000-0", "3000-0"]),
        (("--device", IMEI), []),
    ],
)
def test_a_range_asks_and_a_dry_run_changes_nothing(
    redis_url: str, groups: Any, words: tuple[str, ...], entries: list[str]
) -> None:
    before = state(groups)
    dry = listed(resend(redis_url, *words, "--dry-run", "--json"))
    assert [line["entry"] for line in dry if line["result"] == "again"] == entries
    assert "Nothing was changed" in resend(redis_url, *words, "--dry-run").stdout
    asked = resend(redis_url, *words)
    assert (asked.exit_code, "add --yes" in asked.stderr) == ((2, True) if entries else (0, False))
    assert state(groups) == before
    assert resend(redis_url, *words, "--yes").exit_code == 0
    held = groups.xpending_range(STREAM, GROUP, "-", "+", 10)
    assert [(row["message_id"], row["consumer"]) for row in held] == [
        (entry, "requeued") for entry in entries
    ]


def test_messages_of_a_device_are_found_in_every_partition(redis_url: str, groups: Any) -> None:
    content: Any = {"upgradeFinished": {"upgradeId": "u", "deviceId": IMEI}}
    stream = Partition("fota", 1).messages
    add(groups, 1, at="2500-0", partition=1, **content)
    groups.xgroup_create(stream, GROUP, "$")
    words = ("--device", f"IMEI {IMEI}", "--yes")
    result = resend(redis_url, *words, QUEUE_PARTITIONS="2")
    assert (result.exit_code, "2500-0: is pending again" in result.stdout) == (0, True)
    assert groups.xpending(stream, GROUP)["pending"] == 1


def test_an_id_that_two_partitions_have_needs_the_partition(redis_url: str, groups: Any) -> None:
    add(groups, 9, at="2000-0", partition=1)
    both = resend(redis_url, "2000-0", QUEUE_PARTITIONS="2")
    assert (both.exit_code, "add --partition" in both.stderr) == (2, True)
    chosen = resend(redis_url, "2000-0", "--partition", "0", QUEUE_PARTITIONS="2")
    assert chosen.exit_code == 0
    missing = resend(redis_url, "2000-0", "--partition", "1", QUEUE_PARTITIONS="2")
    assert (missing.exit_code, "does not exist in partition 1" in missing.stderr) == (1, True)
    assert resend(redis_url, "2000-0", "--partition", "7").exit_code == 2


def test_entry_that_is_named_twice_is_given_once(redis_url: str, groups: Any) -> None:
    done = resend(redis_url, "1000-0", "2000-0", "1000-0")
    assert (done.exit_code, done.stdout.count("is pending again")) == (0, 2), done.output


@pytest.mark.parametrize("option", ["--from", "--since", "--to", "--account"])
def test_empty_text_of_an_unset_variable_chooses_nothing(
    redis_url: str, groups: Any, option: str
) -> None:
    before = state(groups)
    for also in ((), ("--upgrade", "u-1")):
        result = resend(redis_url, option, "", *also, "--yes")
        assert (result.exit_code, option.replace("since", "from") in result.stderr) == (2, True)
    assert state(groups) == before


@pytest.mark.parametrize(
    "words", [(), ("x",), ("1-0", "--upgrade", "u"), (f"{2**64}-0",), ("1-0", "--from", "1h")]
)
def test_wrong_usage_changes_nothing(redis_url: str, groups: Any, words: tuple[str, ...]) -> None:
    before = state(groups)
    assert resend(redis_url, *words).exit_code == 2
    assert state(groups) == before


def test_unknown_group_is_answered_with_those_that_there_are(redis_url: str, groups: Any) -> None:
    result = run(redis_url, "resend", "--group", "x", "1000-0")
    assert (result.exit_code, "there are: billing, dashboard, g" in result.stderr) == (2, True)


def test_namespace_without_a_stream_or_with_an_empty_one_is_a_sentence(
    redis_url: str, redis_client: Any
) -> None:
    nothing = resend(redis_url, "1-0")
    assert (nothing.exit_code, "there is no stream yet" in nothing.stderr) == (2, True)
    redis_client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    gone = resend(redis_url, "1-0")
    assert (gone.exit_code, "is not in the stream" in gone.stderr) == (1, True)
    all_of_none = resend(redis_url, "--from", "start")
    assert (all_of_none.exit_code, all_of_none.stdout) == (
        0,
        f"0 messages given to {GROUP} again.\n",
    )


def test_group_that_never_read_gets_everything_anyway(redis_url: str, groups: Any) -> None:
    groups.xgroup_create(STREAM, "new", "0")
    before = state(groups)
    result = run(redis_url, "resend", "--group", "new", "--from", "start", "--yes")
    assert (result.exit_code, result.stdout.count("was not read by the group yet")) == (0, 4)
    assert state(groups) == before


def test_group_that_began_at_the_end_gets_what_it_skipped(redis_url: str, groups: Any) -> None:
    groups.xgroup_create(STREAM, "late", "$")
    result = run(redis_url, "resend", "--group", "late", "--to", "2000-0", "--yes")
    assert (result.exit_code, state(groups)["late"]) == (0, ("4000-0", 2))
