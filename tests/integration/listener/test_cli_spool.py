"""`spool`: the operator's look at this host's disk, with the service and without it."""

import json
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from listener.diagnostics import check_spool
from listener.messages.message import Message
from listener.spool.contents import read_status
from listener.spool.spool import Spool
from tests.support import cli
from tests.support.cli import HOSTILE, listed, payload
from tests.support.queue_load import settings

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOWHERE = "unix:///nowhere/redis.sock"
REASON = "max request size exceeded"


def message(number: int) -> Message:
    return Message.from_payload(payload(number), arrived=NOW, request_id="r")


WAITING, REFUSED, LARGE = message(1), message(2), message(3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A spool with one message that waits, and two that are set aside; the service is stopped."""
    spool = Spool(tmp_path / "spool", 2**20)
    for each in (REFUSED, WAITING):
        spool.put(each, 1)
    spool.set_aside(spool.oldest(1), REASON)
    spool.put_aside(LARGE, "too large", 1)
    spool.close()
    return tmp_path / "spool"


def run(folder: Path, *words: str, **options: Any) -> Result:
    return cli.run(NOWHERE, "spool", *words, SPOOL_DIR=str(folder), **options)


def states(folder: Path) -> dict[str, str]:
    return {line["id"]: line["state"] for line in listed(run(folder, "list", "--json"))}


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(folder.iterdir())
    }


def test_list_tells_messages_that_wait_from_those_that_are_set_aside(folder: Path) -> None:
    found = listed(run(folder, "list", "--json"))
    assert [(line["id"], line["state"], line["reason"]) for line in found] == [
        (REFUSED.id, "set-aside", REASON),
        (LARGE.id, "set-aside", "too large"),
        (WAITING.id, "waiting", ""),
    ]
    assert found[0]["since"].endswith("Z")
    assert found[0]["subject"] == "u-2"
    table = run(folder, "list")
    assert REASON in table.stdout
    assert WAITING.id in table.stdout


def test_list_can_be_limited_to_one_state_or_number(folder: Path) -> None:
    only = listed(run(folder, "list", "--state", "waiting", "--json"))
    assert [line["id"] for line in only] == [WAITING.id]
    assert len(listed(run(folder, "list", "--limit", "2", "--json"))) == 2
    assert "more than 1" in run(folder, "list", "--limit", "1").stderr


def test_show_has_the_whole_message_and_why_it_was_set_aside(folder: Path) -> None:
    shown = run(folder, "show", REFUSED.id).stdout
    assert REASON in shown
    assert '"upgradeId": "u-2"' in shown
    [line] = listed(run(folder, "show", WAITING.id, "--json"))
    assert line["data"] == payload(1)
    assert run(folder, "show", "0" * 32).exit_code == 1


def test_export_has_every_field_of_an_entry(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "spool.jsonl"
    assert run(folder, "export", "--output", str(file)).exit_code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    fields = {**WAITING.fields(), "data": payload(1)}
    assert lines[2] == {"state": "waiting", "reason": "", "since": "", **fields}
    assert lines[0]["reason"] == REASON
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(folder, "export", "--output", str(file)).exit_code == 2, "it exists"
    assert run(folder, "export", "--output", str(file), "--force").exit_code == 0


def test_export_of_some_ids_fails_where_one_is_not_there(folder: Path) -> None:
    some = run(folder, "export", LARGE.id, "0" * 32)
    assert some.exit_code == 1
    assert json.loads(some.stdout)["id"] == LARGE.id
    assert "0" * 32 in some.stderr


def test_retry_lets_messages_wait_again_behind_all_others(folder: Path) -> None:
    assert run(folder, "retry", LARGE.id).exit_code == 0
    assert states(folder) == {
        REFUSED.id: "set-aside", WAITING.id: "waiting", LARGE.id: "waiting"
    }  # fmt: skip
    assert run(folder, "retry", "--all").exit_code == 0
    spool = Spool(folder, 2**20)
    assert [kept.message for kept in spool.oldest(10)] == [WAITING, LARGE, REFUSED]
    spool.close()


def test_drop_asks_first_and_touches_nothing_that_waits(folder: Path) -> None:
    assert run(folder, "drop", REFUSED.id).exit_code == 2, "there is nobody to ask"
    assert len(states(folder)) == 3
    waits = run(folder, "drop", WAITING.id, REFUSED.id, "--yes")
    assert waits.exit_code == 1
    assert WAITING.id in waits.stderr
    assert states(folder) == {WAITING.id: "waiting", LARGE.id: "set-aside"}
    assert run(folder, "drop", "--all", "--yes").exit_code == 0
    assert states(folder) == {WAITING.id: "waiting"}
    assert run(folder, "drop", "--all", "--yes").stdout == "0 messages dropped.\n"


@pytest.mark.parametrize("words", [("drop",), ("retry",), ("retry", "--all", "0" * 32)])
def test_what_changes_something_needs_ids_or_all(folder: Path, words: tuple[str, ...]) -> None:
    assert run(folder, *words).exit_code == 2


def test_text_that_is_no_id_is_refused_by_name(folder: Path) -> None:
    for command in ("show", "retry", "drop", "export"):
        ended = run(folder, command, f"1-0{HOSTILE}")
        assert ended.exit_code == 2
        assert "\x1b" not in ended.output


def test_what_redis_said_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 2**20)
    spool.put_aside(WAITING, HOSTILE, 1)
    spool.close()
    for words in (("list",), ("list", "--json"), ("show", WAITING.id), ("export",)):
        assert "\x1b" not in run(tmp_path, *words).output


def test_host_without_journal_or_spool_is_no_failure_to_look_at(tmp_path: Path) -> None:
    empty = run(tmp_path / "nothing", "list")
    assert (empty.exit_code, empty.stdout) == (0, "Nothing is in the spool of this host.\n")
    assert run(tmp_path / "nothing", "retry", "--all").exit_code == 1
    assert not (tmp_path / "nothing").exists()
    none = cli.run(NOWHERE, "spool", "list", SPOOL_DIR="")
    assert (none.exit_code, none.stderr) == (1, "Error: there is no spool: SPOOL_DIR is empty\n")


# Root may look everywhere. Another user may not even look into root's Python.
NOBODY = "import encodings.ascii, queue, listener.cli.spool; os.getuid() or os.setuid(65534)"
READING = (("list",), ("list", "--json"), ("show", WAITING.id), ("export",))


def command(folder: Path, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """In a process of its own, as an operator runs it."""
    main = f"import os; from listener.__main__ import main\n{code}\nmain()"
    return subprocess.run(
        [sys.executable, "-c", main, *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"REDIS_URL": NOWHERE, "SPOOL_DIR": str(folder), "PATH": os.environ["PATH"]},
    )  # fmt: skip


def crash(folder: Path) -> None:
    """A process that dies with a write-ahead log that is in use."""
    code = (
        "import os, sys; from tests.integration.listener.test_cli_spool import *\n"
        "spool = Spool(Path(sys.argv[1]), 2**20)\n"
        "spool.put(message(9), 10)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=False)
    assert done.returncode == -9


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.parametrize("how", ["stopped", "crashed"])
def test_looking_makes_and_changes_no_file(folder: Path, how: str, words: tuple[str, ...]) -> None:
    if how == "crashed":
        crash(folder)
    before = snapshot(folder)
    looked = command(folder, "spool", *words)
    assert looked.returncode == 0, looked.stderr
    assert WAITING.id in looked.stdout
    assert snapshot(folder) == before


@pytest.fixture
def live(folder: Path) -> Iterator[Spool]:
    """A service that has the journal open."""
    running = Spool(folder, 2**20)
    running.put(message(4), 1)
    yield running
    running.close()


def test_commands_work_while_the_service_has_the_journal_open(live: Spool, folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    listing = command(folder, "spool", "list", "--json").stdout.splitlines()
    assert len(listing) == 4
    assert command(folder, "spool", "retry", REFUSED.id).returncode == 0
    assert command(folder, "spool", "drop", LARGE.id, "--yes").returncode == 0
    assert [kept.message for kept in live.oldest(10)] == [WAITING, message(4), REFUSED]
    assert live.put(message(5), 1) is False
    assert sorted(path.name for path in folder.iterdir()) == before


def test_look_from_within_the_service_leaves_the_journal_writable(folder: Path) -> None:
    crash(folder)
    running = Spool(folder, 2**20)
    assert read_status(folder, in_service=True).messages == 2
    assert running.put(message(7), 1) is False
    assert read_status(folder, in_service=True).messages == 3
    running.close()


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize("words", [*READING, ("retry", "--all"), ("drop", "--all", "--yes")])
def test_another_user_than_the_services_is_told_whose_files_they_are(
    folder: Path, words: tuple[str, ...]
) -> None:
    before, owner = snapshot(folder), pwd.getpwuid(os.geteuid()).pw_name
    folder.chmod(0)
    try:
        ended = command(folder, "spool", *words, code=NOBODY)
    finally:
        folder.chmod(0o700)
    assert ended.returncode == 1
    assert f"run this as {owner}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert snapshot(folder) == before


def test_user_who_may_write_changes_nothing_of_another_users(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, owner = snapshot(folder), pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert run(folder, "list").exit_code == 0
    for command in ("retry", "drop"):
        ended = run(folder, command, "--all")
        assert ended.exit_code == 1
        assert f"run this as {owner}" in ended.stderr
    assert snapshot(folder) == before


def test_doctor_calls_set_aside_messages_an_error_and_says_what_to_do(folder: Path) -> None:
    chosen = settings("redis://127.0.0.1", SPOOL_DIR=str(folder))
    found = [
        one for one in check_spool.findings(chosen, NOW, in_service=False) if one.level == "error"
    ]
    assert [one.text.partition(":")[0] for one in found] == ["2 messages set aside on this host"]
    assert "spool list" in found[0].advice
