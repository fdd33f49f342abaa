"""Folders that others may write to: what they leave there neither stops a start, nor is written to, nor is shown to them."""

import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from listener.diagnostics import check_spool
from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.messages.payload import parse
from listener.runtime import multiprocess_dir, safe_files
from listener.settings.settings import Settings
from listener.spool.journal import LEAD
from listener.spool.journal_database import JOURNAL
from listener.spool.spool import Spool
from registrar.login_breaker.record import LoginRecord
from registrar.login_breaker.stores import FileStore
from testbed.service import RECEIVER, Service

NOW = datetime(2026, 11, 23, tzinfo=UTC)
REFUSED = r"link|regular|name|directory"
VICTIM = "what must stay as it is"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    victim = tmp_path / "victim"
    victim.write_text(VICTIM)
    victim.chmod(0o644)
    return victim


@contextmanager
def opened(folder: Path) -> Iterator[Spool]:
    spool = Spool(folder, 2**20)
    try:
        yield spool
    finally:
        spool.close()


def put(spool: Spool, number: int = 1) -> None:
    payload = parse(json.dumps({"type": "new", "n": number}).encode())
    spool.put(Message.from_payload(payload, arrived=NOW, request_id="r"), 5.0)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def unharmed(victim: Path) -> bool:
    return (
        victim.read_text() == VICTIM
        and mode(victim) == 0o644
        and victim.stat().st_uid == os.geteuid()
    )


def link(at: Path, victim: Path) -> None:
    at.symlink_to(victim)


def dangling(at: Path, victim: Path) -> None:
    at.symlink_to(victim.with_name("made-by-others"))


def hard_link(at: Path, victim: Path) -> None:
    at.hardlink_to(victim)


def pipe(at: Path, _victim: Path) -> None:
    os.mkfifo(at)


def a_folder(at: Path, _victim: Path) -> None:
    at.mkdir()


PLANTED = [link, dangling, hard_link, pipe, a_folder]
Plant = Callable[[Path, Path], None]


def test_every_file_of_the_spool_is_private_in_a_folder_that_is_not(folder: Path) -> None:
    before = os.umask(0)
    try:
        with opened(folder) as spool:
            put(spool)
            assert spool._journal.lead()
            files = {path.name: mode(path) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert {JOURNAL, f"{JOURNAL}-wal", LEAD} <= files.keys()
    assert set(files.values()) == {0o600}


def test_files_of_an_earlier_version_lose_the_rights_of_others(folder: Path) -> None:
    with closing(sqlite3.connect(folder / JOURNAL)) as journal:
        journal.execute("PRAGMA journal_mode = WAL")
    (folder / JOURNAL).chmod(0o644)
    (folder / LEAD).write_bytes(b"")
    (folder / LEAD).chmod(0o666)
    with opened(folder) as spool:
        put(spool)
        assert spool._journal.lead()
        assert mode(folder / JOURNAL) == mode(folder / LEAD) == 0o600


@pytest.mark.parametrize("plant", PLANTED)
def test_journal_that_others_planted_is_not_used(folder: Path, victim: Path, plant: Plant) -> None:
    plant(folder / JOURNAL, victim)
    with opened(folder) as spool, pytest.raises(QueueUnavailableError):
        put(spool)
    assert unharmed(victim)
    assert not victim.with_name("made-by-others").exists()


@pytest.mark.parametrize("part", ["-wal", "-shm"])
@pytest.mark.parametrize("plant", [link, dangling, hard_link])
def test_log_that_others_planted_is_not_used(
    folder: Path, victim: Path, plant: Plant, part: str
) -> None:
    plant(folder / f"{JOURNAL}{part}", victim)
    with opened(folder) as spool, pytest.raises(QueueUnavailableError):
        put(spool)
    assert unharmed(victim)
    assert not victim.with_name("made-by-others").exists()


@pytest.mark.parametrize("plant", PLANTED)
def test_drainers_lock_that_others_planted_harms_nothing(
    folder: Path, victim: Path, plant: Plant
) -> None:
    plant(folder / LEAD, victim)
    with opened(folder) as spool:
        put(spool)
        with pytest.raises(OSError, match=REFUSED):
            spool._journal.lead()
    assert unharmed(victim)


@pytest.mark.parametrize("plant", PLANTED)
@pytest.mark.parametrize("name", ["login-breaker.lock", "login-breaker.json"])
def test_breakers_file_that_others_planted_harms_nothing(
    folder: Path, victim: Path, plant: Plant, name: str
) -> None:
    plant(folder / name, victim)
    with pytest.raises(OSError, match=REFUSED):
        FileStore(folder, "digest").update(lambda old, _: old)
    assert unharmed(victim)


@pytest.mark.parametrize("plant", [link, dangling, hard_link, pipe])
def test_breakers_temporary_file_that_others_planted_is_replaced(
    folder: Path, victim: Path, plant: Plant
) -> None:
    plant(folder / "login-breaker.new", victim)
    store = FileStore(folder, "digest")
    changed = store.update(_with_a_try)
    assert store.read() == changed
    assert unharmed(victim)
    assert not victim.with_name("made-by-others").exists()
    assert {mode(path) for path in folder.iterdir()} == {0o600}


def _with_a_try(old: LoginRecord, now: float) -> LoginRecord:
    return old.reserve("a", now)


@pytest.mark.parametrize("plant", [link, dangling, hard_link, pipe])
def test_sums_of_metrics_are_not_written_through_a_link(
    folder: Path, victim: Path, plant: Plant
) -> None:
    plant(folder / "counter_fota-ended.written", victim)
    safe_files.replace_safely(folder / "counter_fota-ended.db", b"sums")
    assert (folder / "counter_fota-ended.db").read_bytes() == b"sums"
    assert unharmed(victim)


@needs_root
def test_root_writes_to_no_file_that_somebody_else_left(folder: Path) -> None:
    for name in (JOURNAL, LEAD, "login-breaker.lock"):
        (folder / name).write_bytes(b"")
        os.chown(folder / name, 4321, 4321)
    os.chown(folder, 1234, 1234)
    with opened(folder) as spool, pytest.raises(QueueUnavailableError):
        put(spool)
    with pytest.raises(PermissionError):
        FileStore(folder, "digest").update(_with_a_try)


@needs_root
@pytest.mark.parametrize("plant", [link, hard_link])
def test_root_gives_no_file_away_that_a_folders_owner_linked(
    folder: Path, victim: Path, plant: Plant
) -> None:
    os.chown(folder, 1234, 1234)
    plant(folder / "login-breaker.lock", victim)
    with pytest.raises(PermissionError):
        FileStore(folder, "digest").update(_with_a_try)
    assert unharmed(victim)


def test_what_others_left_among_metrics_is_skipped(
    tmp_path: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    prefix = multiprocess_dir.PREFIX
    for name in (
        "9" * 30,
        "0",
        "-1",
        "x",
        "\udcff",
        "..",
        "1-" + "y" * 200,
        "\n",
        "1e999",
        "\u0661",
    ):
        (shared / f"{prefix}{name}").mkdir()
    (shared / f"{prefix}file").write_text("")
    (shared / f"{prefix}link").symlink_to(victim)
    (shared / f"{prefix}loop").symlink_to(shared / f"{prefix}loop")
    (shared / f"{prefix}folder-link").symlink_to(tmp_path)
    os.mkfifo(shared / f"{prefix}pipe")
    closed = shared / f"{prefix}closed"
    closed.mkdir()
    closed.chmod(0)
    monkeypatch.setattr(multiprocess_dir, "memory_folder", lambda *_: shared)
    monkeypatch.setattr(multiprocess_dir, "temporary_folder", lambda: shared)
    monkeypatch.delenv(multiprocess_dir.VARIABLE, raising=False)
    multiprocess_dir._make_folder()
    multiprocess_dir.clean_up()
    assert unharmed(victim)


@needs_root
def test_another_users_folder_of_metrics_stays(tmp_path: Path) -> None:
    theirs = tmp_path / f"{multiprocess_dir.PREFIX}1-theirs"
    theirs.mkdir()
    os.chown(theirs, 1234, 1234)
    os.utime(theirs, (0, 0))
    multiprocess_dir._remove_abandoned(tmp_path)
    assert theirs.is_dir()


def test_check_says_what_others_could_do_to_the_spool(folder: Path, victim: Path) -> None:
    settings = Settings.from_env(
        {"CALLBACK_TOKEN": "token-of-all-the-tests", "SPOOL_DIR": str(folder)}
    )

    def findings() -> str:
        found = check_spool.findings(settings, NOW, in_service=False)
        return "\n".join(f"{one.level}: {one.text}" for one in found)

    assert "warning: " in findings()
    assert "can be written by others (mode 0777)" in findings()
    folder.chmod(0o700)
    assert "by others" not in findings()
    link(folder / JOURNAL, victim)
    assert f"error: {folder / JOURNAL} is a link" in findings()
    assert "drainer.lock" not in findings()


def test_service_starts_and_keeps_messages_among_what_others_left(tmp_path: Path) -> None:
    """With an unreachable Redis, so that the message goes to the spool."""
    left = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    name = left / f"{multiprocess_dir.PREFIX}{'9' * 40}"
    name.mkdir(exist_ok=True)
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o777)
    settings = {
        "CALLBACK_TOKEN": "token-of-all-the-tests",
        "SPOOL_DIR": str(folder),
        "WEB_CONCURRENCY": "1",
    }
    try:
        with Service(*RECEIVER, REDIS_URL="redis://127.0.0.1:1", **settings) as service:
            service.wait_until_ready()
            assert service.post('{"type":"new"}', "/cb/token-of-all-the-tests").status_code == 200
            assert {mode(path) for path in folder.iterdir()} == {0o600}
    finally:
        if name.is_dir():
            name.rmdir()


@needs_root
@pytest.mark.parametrize(
    ("owner", "name", "users"),
    [(0, "root", "root"), (4711, "the user 4711", "the user 4711 or as root")],
)
def test_check_as_root_says_whose_the_folder_is(
    folder: Path, owner: int, name: str, users: str
) -> None:
    os.chown(folder, owner, -1)
    settings = Settings.from_env({"SPOOL_DIR": str(folder), "ALLOW_ANY_SENDER": "true"})
    texts = [found.text for found in check_spool.findings(settings, NOW, in_service=False)]
    assert f"{folder} belongs to {name}: the service has to run as {users}" in texts
