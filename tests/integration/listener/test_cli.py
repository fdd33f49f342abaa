"""The operator's commands on a real Redis: looking, and how they fail."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from listener.cli.render import screen
from listener.cli.tail import _entries, _Read
from listener.inspection import pending_entries
from listener.inspection.entry_filter import EntryFilter
from listener.inspection.queue_view import QueueView, decoding_client
from listener.queue.keys import Partition
from listener.spool.spool import Spool
from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.process import ROOT
from tests.support.cli import (
    ACCOUNT,
    DEAD,
    HOSTILE,
    OTHER,
    QUARANTINE,
    STREAM,
    add,
    bury,
    listed,
    read,
    run,
)
from tests.support.queue_load import message, settings

pytestmark = pytest.mark.redis_flavour

EVERY = (
    "check",
    "dead list",
    "dead show 1-0",
    "dead requeue --group billing --all --yes",
    "dead drop --group billing --all --yes",
    "export",
    "group list",
    "pending",
    "quarantine list",
    "quarantine replay --all --yes",
    "replay --group billing --from 1h --yes",
    "resend --group billing --from start --yes",
    "stats",
    "tail",
    "group drop billing --force --dead-letters --yes",
)
OBSERVED = {
    "tick": "2026-11-23T08:00:00.000Z",
    "ours": False,
    "registered_url": "https://other.example.com/\x1b[2Jcb",
    "result": "yielded",
    "reason": "foreign",
}


@pytest.fixture
def groups(redis_client: Any) -> Any:
    """Six messages; `billing` has read four, acknowledged one and given up on another."""
    redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    redis_client.xgroup_create(STREAM, "dashboard", "0")
    for number in range(6):
        add(redis_client, number)
    done, bad, *_ = read(redis_client, "billing", count=4)
    redis_client.xack(STREAM, "billing", done)
    bury(redis_client, bad)
    for entry_id in read(redis_client, "dashboard", consumer="web-1"):
        redis_client.xack(STREAM, "dashboard", entry_id)
    return redis_client


def test_an_id_that_is_to_be_copied_is_in_one_piece_on_a_narrow_terminal(
    redis_url: str, groups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "PIPE_WIDTH", 80)
    refused = groups.xadd(QUARANTINE, {"reason": "not-json", "data": "{" * 200, "time": "?"})
    held_by_billing = groups.xpending_range(STREAM, "billing", "-", "+", 1)[0]["message_id"]
    [(dead, _)] = groups.xrange(DEAD)
    assert dead in run(redis_url, "dead", "list").stdout
    assert held_by_billing in run(redis_url, "pending").stdout
    assert refused in run(redis_url, "quarantine", "list").stdout


def test_tail_shows_what_is_there_by_time_and_filtered(redis_url: str, redis_client: Any) -> None:
    ids = [
        add(redis_client, 1, at="1000-0"),
        add(redis_client, 2, at="2000-0", partition=1, accountName=OTHER),
        add(redis_client, 3, at="3000-0", type="other"),
        add(redis_client, 31, at="4000-0", partition=1),
    ]

    def shown(*words: str) -> list[int]:
        result = run(redis_url, "tail", "--no-follow", "--json", *words, QUEUE_PARTITIONS="2")
        return [ids.index(line["entry"]) for line in listed(result)]

    assert shown("--from", "start") == [0, 1, 2, 3]
    assert shown("--from", "2000-0") == [1, 2, 3], "the entry itself is included"
    assert shown("--from", "1970-01-01T00:00:02.5") == [2, 3]
    assert shown() == []
    assert shown("-n", "2") == [2, 3]
    assert shown("-n", "2", "--account", ACCOUNT, "--kind", "upgrade-finished") == [0, 3]
    assert shown("--from", "start", "--account", OTHER) == [1]
    assert shown("--from", "start", "--kind", "unknown", "--kind", "upgrade-started") == [2]
    assert shown("--from", "start", "--upgrade", "u-3") == [2, 3]


def test_tail_finds_the_messages_of_a_device(redis_url: str, redis_client: Any) -> None:
    imei = "990013907835573"

    def finished(device: str) -> Any:
        return {"upgradeFinished": {"upgradeId": "u-1", "deviceId": device}}

    add(redis_client, 1, at="1000-0", **finished("990013907884259"))
    ids = [
        add(redis_client, 1, at="2000-0", **finished(imei)),
        add(redis_client, 2, at="3000-0", partition=1, type="v2", campaign={"imei": int(imei)}),
    ]
    add(redis_client, 3, at="4000-0")

    def shown(*words: str) -> list[str]:
        result = run(redis_url, *words, "--json", QUEUE_PARTITIONS="2")
        return [line["entry"] for line in listed(result)]

    for command in (("tail", "--no-follow"), ("export",)):
        assert shown(*command, "--since", "start", "--device", "99-001390-783557-3") == ids
        assert shown(*command, "--since", "2500", "--device", imei) == ids[1:]
        by_upgrade = ("--from", "start", "--device", imei, "--upgrade", "U-1")
        assert shown(*command, *by_upgrade) == ids[:1]
    assert shown("tail", "--no-follow", "-n", "1", "--device", imei) == ids[1:]
    none = run(
        redis_url, "tail", "--no-follow", "--since", "start", "--device", "1", QUEUE_PARTITIONS="2"
    )
    assert (none.stdout, none.stderr) == ("", "None of 4 messages passes the filters.\n")
    for words in (("--device", "-"), ("--upgrade", "")):
        assert run(redis_url, "tail", "--no-follow", *words).exit_code == 2


@pytest.mark.parametrize(
    "line", ["tail --no-follow", "export", "pending", "dead list", "quarantine list", "stats"]
)
@pytest.mark.parametrize("json_too", ["", " --json"])
def test_command_says_that_an_empty_namespace_has_no_stream_yet(
    redis_url: str, redis_client: Any, line: str, json_too: str
) -> None:
    result = run(redis_url, *f"{line}{json_too}".split(), QUEUE_NAMESPACE="elsewhere")
    assert result.exit_code == 0
    assert "There is no stream yet in the namespace elsewhere: " in result.output
    assert not json_too or result.stdout == ""
    redis_client.xgroup_create(Partition("elsewhere", 0).messages, "billing", mkstream=True)
    result = run(redis_url, *f"{line}{json_too}".split(), QUEUE_NAMESPACE="elsewhere")
    assert "no stream" not in result.output


@pytest.mark.parametrize("line", ["pending -g x", "dead list -g x", "replay -g x --from 1h --yes"])
def test_command_for_a_group_says_that_an_empty_namespace_has_no_stream_yet(
    redis_url: str, redis_client: Any, line: str
) -> None:
    result = run(redis_url, *line.split())
    assert result.exit_code == 2
    assert "there is no stream yet in the namespace fota" in result.stderr


def test_tail_goes_on_behind_what_was_there_without_gap_or_repetition(
    redis_url: str, redis_client: Any
) -> None:
    ids = [add(redis_client, number) for number in range(3)]
    chosen = settings(redis_url).queue
    with decoding_client(chosen, timeout_s=5, name="test") as client:
        for last in (None, 2):
            view = QueueView(chosen, client)
            found = _entries(view, "0-0", last, EntryFilter(), _Read(), follow=True)
            seen = [next(found).entry_id]
            ids.append(add(redis_client, 9))
            seen += [entry.entry_id for entry in islice(found, last or 3)]
            assert seen == ids[-len(seen) :]


def test_stats_tells_streams_and_groups(redis_url: str, groups: Any) -> None:
    stream, billing, dashboard = listed(run(redis_url, "stats", "--json"))
    assert (stream["what"], stream["entries"]) == ("stream", 6)
    assert [rate["entries"] for rate in stream["rates"]] == [6, 6]
    assert stream["rates"][0]["per_minute"] == 6 / 5
    assert (billing["group"], billing["lag"], billing["lag_exact"]) == ("billing", 2, True)
    assert (billing["pending"], billing["consumers"], billing["dead"]) == (2, 1, 1)
    assert billing["oldest_pending"] == groups.xpending(STREAM, "billing")["min"]
    assert (dashboard["lag"], dashboard["pending"], dashboard["last_active_s"] < 60) == (0, 0, True)
    table = run(redis_url, "stats").stdout
    assert "billing" in table
    assert "\x1b" not in table, "no colours into a pipe"


def test_the_lag_is_counted_where_redis_does_not_know_it(redis_url: str, groups: Any) -> None:
    last = groups.xrevrange(STREAM, count=1)[0][0]
    groups.xdel(STREAM, last)
    assert [line["lag"] for line in listed(run(redis_url, "stats", "--json"))[1:]] == [1, 0]


def test_an_empty_queue_is_no_failure(redis_url: str) -> None:
    for command in ("stats", "pending", "dead list", "quarantine list", "check"):
        result = run(redis_url, *command.split())
        assert (result.exit_code, bool(result.stdout)) == (0, True), result.output
        if command != "check":
            assert run(redis_url, *command.split(), "--json").stdout == ""


def test_pending_tells_who_holds_what_for_how_long(redis_url: str, groups: Any) -> None:
    first, second = listed(run(redis_url, "pending", "--json"))
    assert first["entry"] < second["entry"]
    assert (first["group"], first["consumer"], first["deliveries"]) == ("billing", "worker-1", 1)
    assert (first["kind"], first["subject"], first["exists"]) == ("upgrade-finished", "u-2", True)
    groups.xdel(STREAM, first["entry"])
    gone = listed(run(redis_url, "pending", "--group", "billing", "--json"))[0]
    assert (gone["entry"], gone["exists"]) == (first["entry"], False)
    limited = run(redis_url, "pending", "--limit", "1")
    assert "no longer there" in limited.stdout
    assert "more than 1" in limited.stderr
    assert run(redis_url, "pending", "--group", "dashboard").stdout == "Nothing is pending.\n"


def test_what_is_pending_is_told_by_time_over_groups_and_partitions(
    redis_url: str, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_entries, "PAGE_ENTRIES", 2)
    ids = [add(redis_client, n, at=f"{n + 1}-0", partition=n % 2) for n in range(9)]
    for partition in (0, 1):
        stream = Partition("fota", partition).messages
        for group in ("billing", "dashboard"):
            redis_client.xgroup_create(stream, group, "0")
            redis_client.xreadgroup(group, "worker-1", {stream: ">"})
    found = listed(run(redis_url, "pending", "--json", QUEUE_PARTITIONS="2"))
    assert [one["entry"] for one in found] == [entry for entry in ids for _ in "12"]
    of_one = listed(run(redis_url, "pending", "-g", "billing", "--json", QUEUE_PARTITIONS="2"))
    assert [one["entry"] for one in of_one] == ids


@pytest.mark.parametrize("line", ["dead list", "quarantine list"])
def test_a_table_has_an_end_and_says_so(redis_url: str, redis_client: Any, line: str) -> None:
    for number in range(1, 53):
        redis_client.xadd(DEAD, {"reason": f"no-{number}-"}, id=f"{number}-0")
        redis_client.xadd(QUARANTINE, {"reason": f"no-{number}-"}, id=f"{number}-0")
    table = run(redis_url, *line.split())
    assert (table.stdout.count("no-"), "no-51-" in table.stdout) == (50, False)
    assert table.stderr == "There are more than 50: raise --limit to see them.\n"
    every = run(redis_url, *line.split(), "--limit", "52")
    assert (every.stdout.count("no-"), every.stderr) == (52, "")
    assert len(listed(run(redis_url, *line.split(), "--json"))) == 52
    first, second = listed(run(redis_url, *line.split(), "--json", "--limit", "2"))
    assert (first["reason"], second["reason"]) == ("no-1-", "no-2-")


@pytest.mark.parametrize(
    "line", ["pending -g x", "dead list -g x", "dead drop 1-0 -g x --yes", "replay -g x --from 1h"]
)
def test_an_unknown_group_is_answered_with_those_that_there_are(
    redis_url: str, groups: Any, line: str
) -> None:
    result = run(redis_url, *line.split())
    assert result.exit_code == 2
    assert "there are: billing, dashboard" in result.stderr


def test_nothing_that_a_sender_wrote_reaches_the_terminal_as_control(
    redis_url: str, redis_client: Any
) -> None:
    redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    inside: Any = {"upgradeFinished": {"upgradeId": HOSTILE, "status": HOSTILE}}
    add(redis_client, 1, accountName=HOSTILE, **inside)
    add(redis_client, 2, accountName=HOSTILE, **inside)
    first, *_ = read(redis_client, "billing", consumer=HOSTILE)
    # Anybody with access to Redis may add what is not even UTF-8.
    redis_client.xadd(STREAM, {b"\xff\x1b": b"\xfe\x9b", "account": HOSTILE})
    letter = bury(redis_client, first, error=HOSTILE, traceback=f"{HOSTILE}\n{HOSTILE}")
    redis_client.xadd(QUARANTINE, {"reason": HOSTILE, "data": HOSTILE, "time": HOSTILE})
    redis_client.hset("{fota:registrar}:observations", HOSTILE, json.dumps(OBSERVED))
    refused = redis_client.xrange(QUARANTINE)[0][0]
    lines = [
        "check", "dead list", f"dead show {letter}", "export", "pending", "quarantine list",
        f"quarantine show {refused}", "stats", "tail --no-follow --from start",
    ]  # fmt: skip
    shown = [run(redis_url, *f"{line}{json}".split()) for line in lines for json in ("", " --json")]
    shown.append(run(redis_url, "export", "--format", "csv"))
    shown.append(run(redis_url, "quarantine", "replay", "--all", "--yes"))
    for result in shown:
        assert result.exit_code in {0, 1}
        assert result.output
        assert all(letter.isprintable() for letter in result.output.replace("\n", "")), result


@pytest.mark.parametrize("line", EVERY)
def test_an_outage_is_told_in_a_sentence_without_secrets(line: str) -> None:
    result = run(f"redis://:word-of-redis@127.0.0.1:{free_port()}/0", *line.split())
    assert result.exit_code == 1
    assert "Redis does not answer" in result.output
    assert "Traceback" not in result.output
    assert "word-of-redis" not in result.output


def test_a_wrong_password_is_no_outage(redis_url: str, redis_client: Any) -> None:
    result = run(f"{redis_url}?username=app&password=word-of-redis", "stats")
    assert result.exit_code == 1
    assert "Redis refuses: " in result.stderr
    assert "word-of-redis" not in result.stderr


def test_the_rights_that_the_contract_names_are_enough(redis_url: str, groups: Any) -> None:
    contract = (ROOT / "docs" / "queue.md").read_text()
    (rights,) = re.findall(r"^    (~\{fota:\* -@all .*)$", contract, re.MULTILINE)
    groups.execute_command("ACL", "SETUSER", "app", "on", ">word", *rights.split())
    dead = groups.xrange(DEAD)[0][0]
    try:
        for line in (f"dead show {dead}", *EVERY):
            follow = " --no-follow" if line == "tail" else ""
            if line != "dead show 1-0":
                result = run(f"{redis_url}?username=app&password=word", *f"{line}{follow}".split())
                assert (result.exit_code, "NOPERM" in result.output) == (0, False), result.output
    finally:
        groups.execute_command("ACL", "DELUSER", "app")


@pytest.mark.parametrize("line", ["stats", "tail", "export", "dead list", "check"])
def test_a_key_of_another_type_is_told_as_what_redis_says(
    redis_url: str, redis_client: Any, line: str
) -> None:
    redis_client.set(STREAM, "mine")
    result = run(redis_url, *line.split())
    assert result.exit_code == 1
    assert "WRONGTYPE" in result.output


def test_output_into_head_ends_quietly(redis_url: str, redis_client: Any) -> None:
    with redis_client.pipeline() as pipeline:
        for number in range(1000):
            pipeline.xadd(STREAM, {"kind": "unknown", "data": f'"{number}{"x" * 500}"'})
        pipeline.execute()
    for line in ("export", "tail --from start"):
        with subprocess.Popen(
            [sys.executable, "-m", "listener", *line.split()],
            cwd=ROOT,
            env={"REDIS_URL": redis_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            assert process.stderr
            assert process.stdout.readline()
            process.stdout.close()
            assert (process.stderr.read(), process.wait(30)) == ("", 0)


@pytest.mark.parametrize("line", ["stats", "export"])
def test_a_disk_that_is_full_is_told_in_a_sentence(redis_url: str, groups: Any, line: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "listener", line],
            cwd=ROOT,
            env={"REDIS_URL": redis_url},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "Error: output failed: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, said)


def findings(result: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in result.stdout.splitlines():
        finding = json.loads(line)
        found.setdefault(f"{finding['level']} {finding['topic']}", []).append(finding["text"])
        assert (finding["level"] == "ok") == (finding["advice"] == "")
    return found


def test_check_is_content_with_a_queue_that_is_well(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    add(redis_client, 1)
    now = redis_client.time()[0]
    seen = {**OBSERVED, "ours": True, "result": "as-desired", "tick": f"{shown_time(now)}Z"}
    redis_client.hset("{fota:registrar}:observations", f"{ACCOUNT}/v1", json.dumps(seen))
    for entry_id in read(redis_client, "billing"):
        redis_client.xack(STREAM, "billing", entry_id)
    spool = str(tmp_path / "spool")
    result = run(
        redis_url, "check", "--json", CALLBACK_TOKEN="token-of-all-the-tests", SPOOL_DIR=spool
    )
    assert result.exit_code == 0
    assert all(name.startswith("ok ") for name in findings(result)), result.stdout
    assert not Path(spool).exists(), "looking makes nothing"


@pytest.mark.parametrize(("size", "named"), [("4096", True), ("16384", False), ("0", False)])
def test_check_names_stream_nodes_that_take_more_memory_than_needed(
    redis_url: str, redis_client: Any, size: str, *, named: bool
) -> None:
    before = redis_client.config_get("stream-node-max-bytes")
    redis_client.config_set("stream-node-max-bytes", size)
    try:
        result = run(redis_url, "check")
        assert (f"stream-node-max-bytes {size}: with 16384" in result.output) == named
    finally:
        redis_client.config_set("stream-node-max-bytes", *before.values())


def test_check_warns_of_all_that_waits(redis_url: str, groups: Any, tmp_path: Path) -> None:
    groups.xadd(QUARANTINE, {"reason": "not-json", "data": "{", "time": "2026-11-23T08:00:00Z"})
    spool = Spool(tmp_path, 2**20)
    spool.put(message(1), 5)
    spool.close()
    (tmp_path / "spool.db.corrupt-20261123T080000Z").touch()
    result = run(
        redis_url, "check", "--json", SPOOL_DIR=str(tmp_path), QUEUE_MAX_LENGTH="5"
    )  # fmt: skip
    found = findings(result)
    assert result.exit_code == 0, "warnings are no errors"
    assert "billing gave up on 1 message" in found["warning dead letters"][0]
    assert "1 message refused" in found["warning quarantine"][0]
    assert "no registrar has written" in found["warning registration"][0]
    waiting, aside = found["warning spool"]
    assert "1 message waiting" in waiting
    assert "20261123T080000Z" in aside
    token, lossy = sorted(found["warning settings"])
    assert "CALLBACK_TOKEN" in token
    assert "lossy" in lossy
    assert "2 pending" in found["ok group billing"][0]


def test_check_warns_of_groups_that_nobody_serves(redis_url: str, redis_client: Any) -> None:
    add(redis_client, 1)
    assert (
        "no consumer group" in findings(run(redis_url, "check", "--json"))["warning partition 0"][0]
    )
    redis_client.xgroup_create(STREAM, "billing", "0")
    found = findings(run(redis_url, "check", "--json"))
    assert "nobody reads it" in found["warning group billing"][0]


@pytest.mark.parametrize("holder", ["requeued", "handed-back"])
def test_who_only_holds_messages_does_not_count_as_a_consumer(
    redis_url: str, redis_client: Any, holder: str
) -> None:
    redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    add(redis_client, 1)
    read(redis_client, "billing", consumer=holder)
    _, billing = listed(run(redis_url, "stats", "--json"))
    assert (billing["consumers"], billing["last_active_s"], billing["pending"]) == (0, None, 1)
    found = findings(run(redis_url, "check", "--json"))
    assert "nobody reads it" in found["warning group billing"][0]


def test_check_finds_dead_letters_of_groups_that_were_destroyed(
    redis_url: str, groups: Any
) -> None:
    groups.xgroup_destroy(STREAM, "billing")
    found = findings(run(redis_url, "check", "--json"))
    assert "billing gave up on 1" in found["warning dead letters"][0]
    assert listed(run(redis_url, "dead", "list", "--json"))[0]["group"] == "billing"
    assert groups.xlen(DEAD) == 1


def test_check_fails_where_messages_go_elsewhere(redis_url: str, redis_client: Any) -> None:
    redis_client.hset("{fota:registrar}:observations", f"{ACCOUNT}/v1", json.dumps(OBSERVED))
    result = run(redis_url, "check", "--json")
    assert result.exit_code == 1
    assert "FOREIGN" in findings(result)["error registration"][0]


def test_check_fails_where_redis_cannot_keep_what_is_promised(
    redis_url: str, redis_client: Any
) -> None:
    redis_client.config_set("appendonly", "no")
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = findings(result := run(redis_url, "check", "--json", QUEUE_DURABILITY="fsync"))
    finally:
        redis_client.config_set("appendonly", "yes")
        redis_client.config_set("maxmemory-policy", "noeviction")
        # While it writes its first file anew, it does not stop when it is told to.
        wait_until(lambda: _has_its_file(redis_client))
    assert result.exit_code == 1
    assert "QUEUE_DURABILITY=fsync" in found["error redis"][0]
    assert any("allkeys-lru" in text for text in found["warning redis"])


def test_check_looks_at_the_rest_when_redis_is_down(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    result = run(url, "check", "--json", SPOOL_DIR=str(tmp_path))
    found = findings(result)
    assert result.exit_code == 1
    assert "does not answer" in found["error redis"][0]
    assert found["ok spool"]
    assert found["warning settings"]


def _has_its_file(client: Any) -> bool:
    told = client.info("persistence")
    return not (told["aof_rewrite_in_progress"] or told["aof_rewrite_scheduled"])


def shown_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


@pytest.mark.parametrize(
    "line",
    [
        "tail --from yesterday",
        "tail --from= --no-follow",
        "tail --kind other",
        "tail --from 2h --last 5",
        "dead requeue --group billing",
        "dead requeue --group billing --all 1-0",
        "dead requeue --all",
        "dead drop --group billing nonsense",
        "dead show 17",
        "quarantine drop",
        "quarantine show x",
        "replay --group billing",
        "export --json --format csv",
        "stats --watch 0",
        "stats --watch nan",
        "stats --watch 1e300",
        "unheard-of",
    ],
)
def test_wrong_usage_ends_with_status_2_and_no_traceback(line: str, redis_url: str) -> None:
    ended = run(redis_url, *line.split())
    assert ended.exit_code == 2, ended.output
    assert "Error: " in ended.stderr


def test_command_reads_no_settings_but_those_that_it_needs(redis_url: str) -> None:
    others = {"PORT": "none", "SPOOL_MAX_BYTES": "1", "CALLBACK_TOKEN": "a/b"}
    for line in ("stats", "pending", "quarantine list", "dead list"):
        assert "settings" not in run(redis_url, *line.split(), **others).output, line
    listing = run("http://x", "spool", "list", SPOOL_DIR=str(ROOT / "missing"), PORT="none")
    assert listing.exit_code == 0, listing.output
    for line in ("check", "quarantine replay --all --yes"):
        ended = run(redis_url, *line.split(), **others)
        assert ended.exit_code == 2, ended.output
        assert "PORT: Not a valid integer." in ended.output
    ended = run("http://x", "stats")
    assert (ended.exit_code, "REDIS_URL: must begin" in ended.output) == (2, True)
