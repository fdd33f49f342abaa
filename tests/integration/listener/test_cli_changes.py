"""The operator's commands that change or write something, on a real Redis."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.cli import common
from listener.inspection.entries import find_entry_id
from listener.queue.keys import Partition
from listener.times import timestamp
from testbed.polling import wait_until
from testbed.ports import free_port
from tests.support.cli import (
    ACCOUNT,
    DEAD,
    OTHER,
    QUARANTINE,
    STREAM,
    add,
    bury,
    fields,
    listed,
    payload,
    read,
    run,
)
from tests.support.consumer_runs import GROUP, consumer, is_done, running
from tests.support.queue_load import NOW

pytestmark = pytest.mark.redis_flavour


@pytest.fixture
def groups(redis_client: Any) -> Any:
    for name in ("billing", "dashboard"):
        redis_client.xgroup_create(STREAM, name, "0", mkstream=True)
    return redis_client


@pytest.fixture
def letter(groups: Any) -> tuple[str, str]:
    """Both groups have done with a message, but `billing` gave up on it: entry, dead letter."""
    entry = add(groups, 1)
    read(groups, "billing")
    read(groups, "dashboard")
    groups.xack(STREAM, "dashboard", entry)
    return entry, bury(groups, entry)


def requeue(url: str, *words: str) -> Any:
    return run(url, "dead", "requeue", "--group", "billing", *words)


def test_a_dead_letter_is_shown_whole(redis_url: str, letter: tuple[str, str]) -> None:
    entry, dead = letter
    (told,) = listed(run(redis_url, "dead", "list", "--json"))
    assert (told["dead"], told["entry"], told["group"]) == (dead, entry, "billing")
    assert (told["reason"], told["deliveries"], told["subject"]) == ("handler-failed", 5, "u-1")
    (whole,) = listed(run(redis_url, "dead", "show", dead, "--json"))
    assert whole["message"]["data"] == payload(1)
    text = run(redis_url, "dead", "show", dead, "--group", "billing").stdout
    assert "Traceback (most recent call last):\n" in text
    assert '"upgradeId": "u-1"' in text
    missing = run(redis_url, "dead", "show", "1-0")
    assert (missing.exit_code, "no dead letter 1-0" in missing.stderr) == (1, True)


def test_a_requeued_message_comes_back_to_its_group_alone(
    redis_url: str, groups: Any, letter: tuple[str, str]
) -> None:
    entry, dead = letter
    result = requeue(redis_url, dead)
    assert (result.exit_code, f"{entry} is pending again" in result.stdout) == (0, True)
    assert groups.xlen(DEAD) == 0
    assert groups.xlen(STREAM) == 1, "the other group sees nothing"
    assert groups.xpending(STREAM, "dashboard")["pending"] == 0
    (held,) = groups.xpending_range(STREAM, "billing", "-", "+", 10)
    assert (held["message_id"], held["consumer"], held["times_delivered"]) == (entry, "requeued", 0)
    assert held["time_since_delivered"] >= 86_400_000
    (shown,) = listed(run(redis_url, "pending", "--json"))
    billing = next(
        one for one in listed(run(redis_url, "stats", "--json")) if one.get("group") == "billing"
    )
    assert max(shown["idle_s"], billing["oldest_pending_idle_s"]) < 60, "it waits for a moment only"
    assert "last touched" not in run(redis_url, "check").stdout
    taken = groups.xautoclaim(STREAM, "billing", "worker-2", min_idle_time=60_000)[1]
    assert [entry_id for entry_id, _ in taken] == [entry]


def test_requeuing_twice_does_it_once(redis_url: str, groups: Any, letter: tuple[str, str]) -> None:
    assert requeue(redis_url, "--all", "--yes").exit_code == 0
    again = requeue(redis_url, letter[1])
    assert (again.exit_code, "no such dead letter" in again.stderr) == (1, True)
    assert requeue(redis_url, "--all", "--yes").exit_code == 0, "none there is nothing left to do"
    assert groups.xpending(STREAM, "billing")["pending"] == 1


def test_what_was_trimmed_meanwhile_is_added_anew_and_told(
    redis_url: str, groups: Any, letter: tuple[str, str]
) -> None:
    entry, dead = letter
    groups.xdel(STREAM, entry)
    result = requeue(redis_url, dead)
    assert (result.exit_code, "every group gets it again" in result.stdout) == (0, True)
    ((_, content),) = groups.xrange(STREAM)
    assert content == {
        k: v if isinstance(v, str) else v.decode() for k, v in fields(payload(1)).items()
    }
    assert groups.xlen(DEAD) == 0
    assert read(groups, "dashboard") == read(groups, "billing") != []


@pytest.mark.parametrize("original", ["", "-", "x", "99999999999999999999999-0", "1-0"])
def test_a_dead_letter_with_a_wrong_entry_is_added_anew(
    redis_url: str, groups: Any, letter: tuple[str, str], original: str
) -> None:
    groups.xtrim(DEAD, maxlen=0)
    dead = groups.xadd(DEAD, {**groups.xrange(STREAM)[0][1], "entry": original})
    assert "every group" in requeue(redis_url, dead).stdout
    assert (groups.xlen(STREAM), groups.xlen(DEAD)) == (2, 0)


def test_a_dead_letter_without_a_message_keeps_no_other_from_coming_back(
    redis_url: str, groups: Any, letter: tuple[str, str]
) -> None:
    groups.xtrim(DEAD, maxlen=0)
    empty = groups.xadd(DEAD, {"reason": "malformed", "entry": "1-0"})
    bury(groups, letter[0])
    result = requeue(redis_url, "--all", "--yes")
    assert (result.exit_code, "1 dead letter given back" in result.stdout) == (1, True)
    assert result.stderr == f"{empty}: nothing of its message is left: only drop it\n"
    assert [entry_id for entry_id, _ in groups.xrange(DEAD)] == [empty]


def test_nothing_is_given_back_to_a_group_that_is_gone(
    redis_url: str, groups: Any, letter: tuple[str, str]
) -> None:
    groups.xgroup_destroy(STREAM, "billing")
    result = requeue(redis_url, "--all", "--yes")
    assert (result.exit_code, "no longer exists" in result.stderr) == (1, True)
    groups.delete(STREAM)
    assert requeue(redis_url, "--all", "--yes").exit_code == 1
    assert groups.xlen(DEAD) == 1


def test_what_is_requeued_is_handled(redis_url: str, redis_client: Any) -> None:
    mended: list[str] = []
    broken = True

    def handle(message: Any) -> None:
        if broken and message.upgrade_id == "u-1":
            raise ValueError("not yet")
        mended.append(message.upgrade_id)

    for number in range(3):
        add(redis_client, number)
    # What the consumer logs must not come between the lines that the command prints.
    with capture_logs(), running(consumer(redis_url, handle, max_deliveries=2)):
        wait_until(lambda: redis_client.exists(f"{{fota:0}}:dead:{GROUP}"))
        wait_until(lambda: is_done(redis_client))
        assert sorted(mended) == ["u-0", "u-2"], "the others flow meanwhile"
        (told,) = listed(run(redis_url, "dead", "list", "--json"))
        assert (told["reason"], told["deliveries"]) == ("handler-failed", 2)
        broken = False
        assert run(redis_url, "dead", "requeue", "-g", GROUP, "--all", "--yes").exit_code == 0
        wait_until(lambda: "u-1" in mended)
        wait_until(lambda: is_done(redis_client))


def test_dropping_asks_first(
    redis_url: str, groups: Any, letter: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("dead", "drop", "--group", "billing", "--all")
    alone = run(redis_url, *words)
    assert (alone.exit_code, "add --yes" in alone.stderr) == (2, True)
    monkeypatch.setattr(common, "is_interactive", lambda: True)
    assert run(redis_url, *words, answer="n\n").exit_code == 1
    assert groups.xlen(DEAD) == 1
    assert run(redis_url, *words, answer="y\n").exit_code == 0
    assert groups.xlen(DEAD) == 0


def test_some_are_dropped_and_a_missing_one_is_told(
    redis_url: str, groups: Any, letter: tuple[str, str]
) -> None:
    other = bury(groups, letter[0])
    result = run(redis_url, "dead", "drop", letter[1], "1-0", "-g", "billing", "--yes")
    assert (result.exit_code, "1-0: there is no such" in result.stderr) == (1, True)
    assert [entry_id for entry_id, _ in groups.xrange(DEAD)] == [other]


def refuse(client: Any, content: Any, reason: str = "account-refused") -> str:
    data = content if isinstance(content, str) else json.dumps(content)
    return str(client.xadd(QUARANTINE, {"reason": reason, "data": data, "time": timestamp(NOW)}))


def test_the_quarantine_is_listed_and_shown(redis_url: str, redis_client: Any) -> None:
    entry = refuse(redis_client, payload(1, note="x" * 100))
    (told,) = listed(run(redis_url, "quarantine", "list", "--json"))
    assert (told["entry"], told["reason"], told["time"]) == (
        entry,
        "account-refused",
        timestamp(NOW),
    )
    assert told["bytes"] > len(told["begins"]) == 70
    (whole,) = listed(run(redis_url, "quarantine", "show", entry, "--json"))
    assert json.loads(whole["data"])["note"] == "x" * 100
    assert '  "accountName"' in run(redis_url, "quarantine", "show", entry).stdout
    assert run(redis_url, "quarantine", "show", "1-0").exit_code == 1


def test_what_passes_now_goes_into_the_queue_as_if_it_had_just_been_received(
    redis_url: str, redis_client: Any
) -> None:
    entry = refuse(redis_client, payload(1, accountName=OTHER))
    still = run(redis_url, "quarantine", "replay", "--all", "--yes", THINGSPACE_ACCOUNTS=ACCOUNT)
    assert (still.exit_code, "account-refused" in still.stderr) == (1, True)
    assert redis_client.xlen(QUARANTINE) == 1
    both = f"{ACCOUNT},{OTHER}"
    done = run(redis_url, "quarantine", "replay", entry, THINGSPACE_ACCOUNTS=both)
    assert done.exit_code == 0, done.output
    ((_, content),) = redis_client.xrange(STREAM)
    assert (content["time"], content["account"]) == (timestamp(NOW), OTHER)
    assert content["requestid"] == f"quarantine-{entry}"
    assert find_entry_id(redis_client, Partition("fota", 0), content["id"]), "it is de-duplicated"
    assert redis_client.xlen(QUARANTINE) == 0


def test_a_replayed_message_goes_to_its_partition_and_once(
    redis_url: str, redis_client: Any
) -> None:
    for number in [*range(8), 3]:
        refuse(redis_client, payload(number))
    result = run(redis_url, "quarantine", "replay", "--all", "--yes", QUEUE_PARTITIONS="3")
    assert result.exit_code == 0
    assert result.stdout.count("is in the queue as") == 8
    assert result.stdout.count("is in the queue already") == 1
    lengths = [redis_client.xlen(Partition("fota", number).messages) for number in range(3)]
    assert (sum(lengths), redis_client.xlen(QUARANTINE)) == (8, 0)
    assert len([length for length in lengths if length]) > 1


def test_what_is_still_refused_stays_and_the_rest_passes(redis_url: str, redis_client: Any) -> None:
    broken = refuse(redis_client, '{"type": "upgradeFin', "not-json")
    shape = refuse(redis_client, payload(1, upgradeFinished=[7]), "wrong-shape")
    refuse(redis_client, payload(2))
    result = run(redis_url, "quarantine", "replay", "--all", "--yes")
    assert result.exit_code == 1
    assert f"{broken}: still refused, not-json" in result.stderr
    assert f"{shape}: still refused, wrong-shape" in result.stderr
    assert [entry_id for entry_id, _ in redis_client.xrange(QUARANTINE)] == [broken, shape]
    assert redis_client.xlen(STREAM) == 1
    assert run(redis_url, "quarantine", "drop", broken, shape, "--yes").exit_code == 0
    assert redis_client.xlen(QUARANTINE) == 0
    assert run(redis_url, "quarantine", "drop", broken, "--yes").exit_code == 1
    assert run(redis_url, "quarantine", "drop", "--all").stdout == "0 dropped.\n"


def test_a_message_that_is_not_confirmed_stays_in_the_quarantine(
    redis_url: str, redis_client: Any
) -> None:
    refuse(redis_client, payload(1))
    result = run(
        redis_url,
        "quarantine",
        "replay",
        "--all",
        "--yes",
        QUEUE_DURABILITY="replicas:1",
        ACK_BUDGET_MS="50",
    )
    assert (result.exit_code, "did not confirm" in result.stderr) == (1, True)
    assert redis_client.xlen(QUARANTINE) == 1


def cursors(client: Any, partition: int = 0) -> dict[str, str]:
    found = client.xinfo_groups(Partition("fota", partition).messages)
    return {group["name"]: group["last-delivered-id"] for group in found}


def test_a_group_is_set_back_after_showing_what_that_means(redis_url: str, groups: Any) -> None:
    ids = [add(groups, number, at=f"{number}000-0") for number in range(1, 6)]
    assert read(groups, "billing", count=4) == ids[:4]
    groups.xack(STREAM, "billing", *ids[:3])
    words = ("replay", "--group", "billing", "--from", ids[1])
    before = cursors(groups)
    dry = run(redis_url, *words, "--dry-run")
    assert (dry.exit_code, cursors(groups)) == (0, before)
    assert "3 messages will be delivered to billing again" in dry.stdout
    assert "1 message pending, as before" in dry.stdout
    assert "LOSSY" not in dry.stdout
    alone = run(redis_url, *words)
    assert (alone.exit_code, cursors(groups)) == (2, before)
    assert run(redis_url, *words, "--yes").exit_code == 0
    assert read(groups, "billing") == ids[1:]
    assert cursors(groups)["dashboard"] == before["dashboard"]


def test_a_group_is_set_forward_only_to_what_is_there(redis_url: str, groups: Any) -> None:
    ids = [add(groups, number) for number in range(3)]
    result = run(redis_url, "replay", "-g", "billing", "--from", "2099-01-01", "--yes")
    assert (result.exit_code, "LOSSY: 3 messages" in result.stdout) == (0, True)
    assert cursors(groups)["billing"] == ids[-1]
    late = add(groups, 9)
    assert read(groups, "billing") == [late], "what comes later is not skipped"
    again = run(redis_url, "replay", "-g", "billing", "--from", "now")
    assert again.stdout.endswith("Nothing was changed.\n"), "and so nothing is asked"


def test_a_group_is_moved_in_every_partition_where_it_exists(redis_url: str, groups: Any) -> None:
    for partition in (1, 2):
        add(groups, 1, partition=partition)
        name = "billing" if partition == 1 else "dashboard"
        groups.xgroup_create(Partition("fota", partition).messages, name, "$")
    run(redis_url, "replay", "-g", "billing", "--from", "start", "--yes", QUEUE_PARTITIONS="4")
    assert cursors(groups, 1) == {"billing": "0-0"}
    assert cursors(groups, 2) != {"dashboard": "0-0"}


def exported(result: Any) -> list[str]:
    return [line["entry"] for line in listed(result)]


def test_messages_of_all_partitions_are_exported_by_time(redis_url: str, redis_client: Any) -> None:
    ids = [add(redis_client, n, at=f"{n + 1}000-0", partition=n % 3) for n in range(250)]

    def export(*words: str) -> list[str]:
        return exported(run(redis_url, "export", *words, QUEUE_PARTITIONS="3"))

    assert export() == ids
    assert export("--json", "--from", "2000-0", "--to", "5000") == ids[1:5]
    assert export("--from", "1970-01-01T00:00:03", "--to", "1970-01-01T00:00:04") == ids[2:4]
    assert export("--kind", "unknown") == []
    assert export("--account", OTHER) == []


def test_a_csv_file_appears_complete_and_is_not_replaced_unasked(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    add(redis_client, 1, accountName="=cmd|' /C calc'!A0")
    file = tmp_path / "messages.csv"
    words = ("export", "--format", "csv", "--output", str(file))
    result = run(redis_url, *words)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 message written" in result.stderr
    (row,) = csv.DictReader(io.StringIO(file.read_text()))
    assert (row["kind"], row["subject"]) == ("upgrade-finished", "u-1")
    assert row["account"] == "'=cmd|' /C calc'!A0"
    assert json.loads(row["data"])["upgradeFinished"] == payload(1)["upgradeFinished"]
    before = file.read_text()
    assert run(redis_url, *words).exit_code == 2
    assert file.read_text() == before
    assert run(redis_url, *words, "--kind", "unknown", "--force").exit_code == 0
    assert file.read_text().count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_replaces_no_device_and_no_link(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    entry = add(redis_client, 1)
    pipe, link, target = (tmp_path / name for name in ("pipe", "link", "target"))
    os.mkfifo(pipe)
    target.touch()
    link.symlink_to(target)
    for file in (pipe, link):
        result = run(redis_url, "export", "--force", "--output", str(file))
        assert (result.exit_code, "no ordinary file" in result.stderr) == (2, True)
    assert (pipe.is_fifo(), link.is_symlink()) == (True, True)
    assert exported(run(redis_url, "export", "--output", "-")) == [entry]


def test_an_export_that_fails_leaves_no_file(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "messages.jsonl"
    nowhere = run(redis_url, "export", "--output", str(tmp_path / "no" / "file"))
    assert (nowhere.exit_code, "cannot be written" in nowhere.stderr) == (1, True)

    def fail(*_: object) -> int:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr("listener.cli.export._write", fail)
    assert run(redis_url, "export", "--output", str(file)).exit_code == 1
    down = f"redis://127.0.0.1:{free_port()}/0"
    assert run(down, "export", "--output", str(file)).exit_code == 1
    assert list(tmp_path.iterdir()) == []
