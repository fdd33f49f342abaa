"""The journal on disk: synced, ordered, shared, bounded, and honest when it is broken."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from listener.diagnostics import check_spool
from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.messages.payload import parse
from listener.spool.contents import read_status
from listener.spool.spool import JOURNAL, Spool
from listener.times import timestamp
from testbed.polling import wait_until
from testbed.slow_disk import SlowDisk
from tests.support.queue_load import settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def message(number: int, padding: int = 0) -> Message:
    payload = {"type": "new", "n": number, "padding": "ä" * padding}
    return Message.from_payload(payload, arrived=NOW, request_id="r")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool", 2**20)
    yield opened
    opened.close()


def numbers(spool: Spool) -> list[int]:
    return [parse(kept.message.data)["n"] for kept in spool.oldest(1000)]


def test_what_was_put_comes_back_whole_and_in_order(spool: Spool) -> None:
    for number in (3, 1, 2):
        assert spool.put(message(number), 1) is False
    assert [kept.message for kept in spool.oldest(10)] == [message(3), message(1), message(2)]
    assert len(spool.oldest(10_000)) == 3


def test_the_same_message_is_journalled_once(spool: Spool) -> None:
    spool.put(message(1), 1)
    assert spool.put(message(1), 1) is True
    assert len(spool.oldest(10_000)) == 1


def test_what_was_moved_is_forgotten_and_may_come_again(spool: Spool) -> None:
    for number in range(5):
        spool.put(message(number), 1)
    spool.remove(spool.oldest(3))
    assert numbers(spool) == [3, 4]
    assert spool.put(message(0), 1) is False
    assert numbers(spool) == [3, 4, 0]


def test_what_waits_longest_comes_in_bounded_pieces_of_one_message_at_least(spool: Spool) -> None:
    for number in range(4):
        spool.put(message(number, padding=1000), 1)
    assert [len(spool.oldest(10, most)) for most in (1, 3000, 5500, 40_000)] == [1, 1, 2, 4]


def test_a_spool_that_was_never_used_is_empty_and_writable(spool: Spool) -> None:
    assert len(spool.oldest(10_000)) == 0
    spool.check()
    assert len(spool.oldest(10_000)) == 0


def aside(folder: Path) -> list[tuple[object, str, str]]:
    """What is set aside, as another program reads it: number, reason, since."""
    with closing(sqlite3.connect(folder / JOURNAL)) as journal:
        rows = journal.execute("SELECT message, reason, since FROM set_aside ORDER BY place")
        return [(json.loads(json.loads(text)["data"])["n"], *more) for text, *more in rows]


def test_message_that_is_set_aside_holds_up_nothing_and_is_kept(
    spool: Spool, tmp_path: Path
) -> None:
    for number in range(4):
        spool.put(message(number), 1)
    began = timestamp(datetime.now(UTC))
    spool.set_aside(spool.oldest(10)[1:3], "max request size exceeded")
    assert numbers(spool) == [0, 3]
    assert len(spool.oldest(10_000)) == 2
    found = aside(tmp_path / "spool")
    assert [each[:2] for each in found] == [
        (1, "max request size exceeded"),
        (2, "max request size exceeded"),
    ]
    assert all(began <= since <= timestamp(datetime.now(UTC)) for *_, since in found)


def test_message_that_is_set_aside_counts_as_there_already(spool: Spool, tmp_path: Path) -> None:
    spool.put(message(1), 1)
    spool.set_aside(spool.oldest(1), "no")
    assert spool.put(message(1), 1) is True
    assert spool.put_aside(message(1), "no again", 1) is True
    assert numbers(spool) == []
    assert [each[:2] for each in aside(tmp_path / "spool")] == [(1, "no")]


def test_message_can_be_journalled_as_set_aside_at_once(spool: Spool, tmp_path: Path) -> None:
    assert spool.put_aside(message(1), "no", 1) is False
    assert spool.put_aside(message(1), "no", 1) is True
    assert numbers(spool) == []
    spool.put(message(2), 1)
    assert spool.put_aside(message(2), "no", 1) is True, "it waits, and is set aside in its turn"
    assert numbers(spool) == [2]
    assert [each[:2] for each in aside(tmp_path / "spool")] == [(1, "no")]


def test_setting_aside_twice_or_what_moved_meanwhile_does_nothing(
    spool: Spool, tmp_path: Path
) -> None:
    spool.put(message(1), 1)
    spool.put(message(2), 1)
    both = spool.oldest(2)
    spool.remove(both[:1])
    spool.set_aside(both, "no")
    spool.set_aside(both, "no again")
    assert [each[:2] for each in aside(tmp_path / "spool")] == [(2, "no")]


def test_journal_of_the_version_before_is_taken_over_whole(tmp_path: Path) -> None:
    before = Spool(tmp_path, 2**20)
    before.put(message(1), 1)
    before.close()
    with closing(sqlite3.connect(tmp_path / JOURNAL)) as journal:
        journal.execute("DROP TABLE set_aside")
    spool = Spool(tmp_path, 2**20)
    assert numbers(spool) == [1]
    spool.set_aside(spool.oldest(1), "no")
    assert len(spool.oldest(10_000)) == 0
    spool.close()
    assert [each[:2] for each in aside(tmp_path)] == [(1, "no")]


def test_looking_for_what_waits_makes_no_journal(spool: Spool, tmp_path: Path) -> None:
    assert spool.oldest(1) == []
    assert len(spool.oldest(10_000)) == 0
    assert spool.lead() is False
    assert not (tmp_path / "spool").exists()


def test_one_process_of_a_host_leads_until_it_closes(spool: Spool, tmp_path: Path) -> None:
    spool.put(message(1), 1)
    other = Spool(tmp_path / "spool", 2**20)
    assert [spool.lead(), other.lead(), spool.lead()] == [True, False, True]
    spool.close()
    assert other.lead() is True
    other.close()


def test_many_threads_journal_at_once(spool: Spool) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert not any(pool.map(lambda number: spool.put(message(number), 10), range(200)))
    assert sorted(numbers(spool)) == list(range(200))


@pytest.mark.slow
def test_several_processes_share_a_journal(spool: Spool, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.integration.listener.test_spool import *\n"
        "spool = Spool(Path(sys.argv[1]), 2**20)\n"
        "for n in range(int(sys.argv[2]), int(sys.argv[2]) + 50): spool.put(message(n), 10)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "spool", str(first)], cwd=ROOT)
        for first in (0, 50, 100)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert sorted(numbers(spool)) == list(range(150))


def test_a_killed_process_loses_nothing_that_was_journalled(spool: Spool, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tests.integration.listener.test_spool import *\n"
        "spool = Spool(Path(sys.argv[1]), 2**20)\n"
        "for n in range(10): spool.put(message(n), 10)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "spool"], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert numbers(spool) == list(range(10))


def test_message_is_synced_before_put_returns_also_one_that_another_process_wrote(
    spool: Spool, tmp_path: Path
) -> None:
    spool.put(message(0), 1)
    code = (
        "import sys, time; from tests.integration.listener.test_spool import *\n"
        "spool = Spool(Path(sys.argv[1]), 2**20)\n"
        "for n in (1, 0):\n"
        "    began = time.monotonic()\n"
        "    spool.put(message(n), 10)\n"
        "    print(time.monotonic() - began)\n"
    )
    with SlowDisk(tmp_path / "spool") as disk:
        disk.delay(sync_s=0.3)
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "spool"],
            cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, **disk.environ},
        )  # fmt: skip
    took_s = [float(line) for line in done.stdout.split()]
    assert len(took_s) == 2
    assert min(took_s) > 0.3


def test_a_full_journal_refuses_and_has_room_again_once_drained(spool: Spool) -> None:
    kept = 0
    with pytest.raises(QueueUnavailableError, match="full"):
        for kept in range(1000):
            spool.put(message(kept, padding=2000), 1)
    assert 100 < kept < 600, "a MiB of messages of 4 KB"
    assert len(spool.oldest(10_000)) == kept
    with pytest.raises(QueueUnavailableError, match="full"):
        spool.check()
    spool.remove(spool.oldest(50))
    spool.check()
    assert spool.put(message(5000), 1) is False


def test_what_waits_is_weighed_not_the_files_which_do_not_shrink(
    spool: Spool, tmp_path: Path
) -> None:
    with pytest.raises(QueueUnavailableError, match="full"):
        for number in range(1000):
            spool.put(message(number, padding=2000), 1)
    assert 0.8 * 2**20 < read_status(tmp_path / "spool", in_service=True).bytes <= 2**20
    while moved := spool.oldest(100):
        spool.remove(moved)
    spool.put(message(1), 1)
    assert (tmp_path / "spool" / JOURNAL).stat().st_size > 0.8 * 2**20
    assert read_status(tmp_path / "spool", in_service=True).bytes < 0.1 * 2**20
    words = {"SPOOL_DIR": str(tmp_path / "spool"), "SPOOL_MAX_BYTES": str(2**20)}
    found = check_spool.findings(settings("redis://127.0.0.1", **words), NOW, in_service=True)
    # How many there are depends on the user: root is also shown the folder's owner.
    assert {finding.level for finding in found} == {"ok"}


def test_a_corrupt_journal_is_set_aside_and_a_new_one_begun(spool: Spool, tmp_path: Path) -> None:
    spool.put(message(1), 1)
    spool.close()
    journal = tmp_path / "spool" / JOURNAL
    journal.write_bytes(b"this is no database" * 1000)
    reopened = Spool(tmp_path / "spool", 2**20)
    assert reopened.put(message(2), 1) is False
    assert numbers(reopened) == [2]
    reopened.close()
    [aside] = [p for p in journal.parent.glob("*.corrupt-*") if b"no database" in p.read_bytes()]
    assert aside.exists()


def test_a_worker_notices_that_another_has_begun_a_new_journal(
    spool: Spool, tmp_path: Path
) -> None:
    spool.put(message(1), 1)
    old = spool.oldest(1)
    folder = tmp_path / "spool"
    for part in folder.glob(f"{JOURNAL}*"):
        part.rename(folder / f"aside-{part.name}")
    spool.put(message(2), 1)
    spool.remove(old)
    assert numbers(spool) == [2], "what had its place in the journal before is not it"
    other = Spool(folder, 2**20)
    assert numbers(other) == [2]
    other.close()


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    spool = Spool(tmp_path / "file" / "spool", 2**20)
    with pytest.raises(QueueUnavailableError):
        spool.put(message(1), 1)
    with pytest.raises(QueueUnavailableError):
        spool.check()
    with pytest.raises(QueueUnavailableError):
        spool.oldest(1)


def test_the_doctor_tells_of_a_folder_that_it_may_not_look_into(tmp_path: Path) -> None:
    (tmp_path / "closed" / "spool").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    code = (
        "import os, sys; from tests.integration.listener.test_spool import *\n"
        "chosen = settings('redis://127.0.0.1', SPOOL_DIR=sys.argv[1])\n"
        # Root may look everywhere.
        "os.getuid() or os.setuid(65534)\n"
        "print(*(found.level for found in check_spool.findings(chosen, NOW, in_service=False)))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "closed" / "spool")]
    try:
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert told.stdout.split() == ["error", "error"], told.stderr


def test_trouble_of_the_journal_is_logged_once_and_its_end_once(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("no folder")
    spool = Spool(tmp_path / "file", 2**20)
    with capture_logs() as logged:
        for number in range(3):
            with pytest.raises(QueueUnavailableError):
                spool.put(message(number), 1)
        tmp_path.joinpath("file").unlink()
        for number in range(3):
            spool.put(message(number), 1)
    spool.close()
    assert [line["event"] for line in logged] == ["spool unavailable", "spool available"]


def test_end_of_the_trouble_is_noticed_though_no_message_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.spool.journal_health.RETRY_S", 0.05)
    tmp_path.joinpath("file").write_text("no folder")
    spool = Spool(tmp_path / "file", 2**20)
    with capture_logs() as logged:
        with pytest.raises(QueueUnavailableError):
            spool.put(message(1), 1)
        tmp_path.joinpath("file").unlink()

        def noticed() -> bool:
            # As the drainer does.
            spool.lead()
            return bool(logged[-1]["event"] == "spool available")

        wait_until(noticed)
    spool.close()


def test_journal_that_cannot_be_read_is_left_alone_for_a_while(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir()
    spool = Spool(tmp_path, 2**20)
    with pytest.raises(QueueUnavailableError, match="is no regular file"):
        spool.oldest(1)
    (tmp_path / JOURNAL).rmdir()
    with pytest.raises(QueueUnavailableError, match="is no regular file"):
        spool.lead()
    assert spool.put(message(1), 1) is False, "a message does not wait for that"
    spool.close()


def test_a_full_journal_is_drained_though_it_is_in_trouble(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.spool.journal_health.RETRY_S", 0.0)
    with pytest.raises(QueueUnavailableError, match="full"):
        for number in range(1000):
            spool.put(message(number, padding=2000), 1)
    assert spool.lead() is True
    assert spool.oldest(1)


def test_a_journal_locked_by_another_is_unavailable_in_time(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.spool.journal_opening.BUSY_TIMEOUT_S", 0.05)
    spool.check()
    other = sqlite3.connect(tmp_path / "spool" / JOURNAL, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    spool.close()
    locked = Spool(tmp_path / "spool", 2**20)
    with pytest.raises(QueueUnavailableError, match="locked"):
        locked.put(message(1), 5)
    other.execute("ROLLBACK")
    other.close()
    assert locked.put(message(1), 1) is False
    locked.close()
