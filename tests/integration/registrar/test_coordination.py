"""Leases, the mutex and the login breaker with a real Redis: what must be atomic, and what expires."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from listener.redis_client.client import connect
from listener.settings.secret import Secret
from registrar.coordination.heartbeat import Heartbeat
from registrar.coordination.keys import Keys
from registrar.coordination.membership import (
    Lease,
    MemberIdentity,
    Members,
    new_member_id,
    read_members,
)
from registrar.coordination.mutex import Mutex
from registrar.errors import NotExclusiveError, StopError, UnavailableError
from registrar.login_breaker.breaker import LoginBreaker
from registrar.login_breaker.record import LoginRecord
from registrar.login_breaker.stores import FileStore, RedisStore
from registrar.turn import UNRESTRICTED, Turn
from testbed.polling import wait_until

pytestmark = pytest.mark.redis_flavour

KEYS = Keys("tests")
SOON_S = 20.0


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with connect(Secret(redis_url), timeout_s=10, name="tests") as connected:
        yield connected


def lease(
    client: "redis.Redis", name: str, deployment: str = "a", *, ttl_s: float = 30, age_s: float = 0
) -> Lease:
    card = MemberIdentity(name, deployment, f"url-of-{deployment}")
    return Lease(client, KEYS, card, ttl_s=ttl_s, age_s=lambda: age_s)


def mutex(client: "redis.Redis", name: str, ttl_s: float = 30) -> Mutex:
    return Mutex(client, KEYS, name, ttl_s=ttl_s)


def test_leaving_counts_only_those_whose_lease_lasts(client: "redis.Redis") -> None:
    lease(client, "killed", ttl_s=0.05).join()
    one = lease(client, "one")
    one.join()
    wait_until(lambda: (client.zscore(KEYS.leases, "killed") or 0) < redis_now_ms(client))
    assert one.leave() == 0


def redis_now_ms(client: Any) -> float:
    seconds, micros = client.time()
    return float(seconds * 1000 + micros / 1000)


def test_the_last_of_many_that_leave_at_once_is_one(client: "redis.Redis") -> None:
    leases = [lease(client, str(number)) for number in range(20)]
    for one in leases:
        one.join()
    with ThreadPoolExecutor(10) as pool:
        remaining = list(pool.map(Lease.leave, leases))
    assert sorted(count for count in remaining if count is not None) == list(range(20))


def test_leaving_never_raises() -> None:
    with connect(Secret("redis://127.0.0.1:1/0"), timeout_s=1, name="tests") as nowhere:
        assert lease(nowhere, "one").leave() is None


def test_a_name_is_readable_and_ones_own() -> None:
    assert new_member_id() != new_member_id()
    assert new_member_id().count("-") >= 2


def test_one_at_a_time_holds_the_mutex(client: "redis.Redis") -> None:
    inside, worst, lock = 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal inside, worst
        with mutex(client, str(number)).hold(UNRESTRICTED, timeout_s=SOON_S) as held:
            with lock:
                inside += 1
                worst = max(worst, inside)
            time.sleep(0.005)
            with lock:
                inside -= 1
            return held.fencing_token

    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(work, range(16)))
    assert worst == 1
    assert sorted(tokens) == list(range(1, 17))


def test_a_slow_redis_does_not_prolong_the_wait_for_the_mutex(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    now, polls = 0.0, 0
    slow = Mutex(client, KEYS, "slow", ttl_s=10, clock=lambda: now)

    def lock(**_: object) -> int:
        nonlocal now, polls
        now += 1.9
        polls += 1
        return 0

    monkeypatch.setattr(slow, "_acquire_script", lock)
    with pytest.raises(NotExclusiveError), slow.hold(Turn(lambda _: False), timeout_s=6):
        raise AssertionError("held")
    assert polls == 4, "not the sixty that a tenth of a second each would be"


def test_the_heartbeat_renews_and_tells_of_deployments_that_come_and_go(
    client: "redis.Redis",
) -> None:
    changes = threading.Semaphore(0)
    beating = Heartbeat(lease(client, "one", "old", ttl_s=0.9), ttl_s=0.9)
    assert beating.join()
    beating.promote()
    beating.subscribe(changes.release)
    beating.start()
    try:
        other = lease(client, "two", "new")
        other.join()
        assert changes.acquire(timeout=SOON_S)
        other.leave()
        assert changes.acquire(timeout=SOON_S)
        client.flushall()
        assert changes.acquire(timeout=SOON_S)
        assert read_members(client, KEYS).names == ("one",)
    finally:
        beating.stop()


def test_a_process_that_could_not_join_at_its_start_joins_long_before_a_third_of_the_lease(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    late = lease(client, "late", ttl_s=3000)

    def fails() -> Members:
        raise redis.ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(late, "join_as_candidate", fails)
        beating = Heartbeat(late, ttl_s=3000)
        assert not beating.join()
    beating.start()
    try:
        wait_until(lambda: read_members(client, KEYS).names == ("late",))
    finally:
        beating.stop()


def test_what_another_version_wrote_about_a_member_is_read_as_far_as_it_goes(
    client: "redis.Redis",
) -> None:
    lease(client, "one", "mine").join()
    for name, written in (("more", "7 a u extra"), ("fewer", "7"), ("other", b"\xff")):
        client.zadd(KEYS.leases, {name: 9e15})
        client.hset(KEYS.members, name, written)
    roll = read_members(client, KEYS)
    assert roll.names == ("fewer", "more", "one", "other")
    assert not roll.is_superseded("mine")


def test_the_heartbeat_survives_a_mistake(client: "redis.Redis") -> None:
    beats = threading.Semaphore(0)

    class Mistaken(Lease):
        def renew(self) -> Members:
            beats.release()
            raise ValueError("not what was expected")

    card = MemberIdentity("one", "a", "url")
    mistaken = Mistaken(client, KEYS, card, ttl_s=0.3, age_s=lambda: 0)
    beating = Heartbeat(mistaken, ttl_s=0.3)
    beating.start()
    try:
        for _ in range(3):
            assert beats.acquire(timeout=SOON_S)
    finally:
        beating.stop()


# The breaker's rules are in the unit ring; here it is what two stores and many processes do.


def breaker(client: "redis.Redis", folder: Path, digest: str = "digest") -> LoginBreaker:
    return LoginBreaker((FileStore(folder, digest), RedisStore(client, KEYS, digest)))


def refused(one: LoginBreaker) -> None:
    one.reserve().refused(locked=False)


def test_many_at_once_try_twice_in_all(client: "redis.Redis", tmp_path: Path) -> None:
    tried = []

    def attempt(_: int) -> None:
        try:
            attempt = breaker(client, tmp_path).reserve()
        except (StopError, UnavailableError):
            return
        tried.append(1)
        attempt.refused(locked=False)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(attempt, range(30)))
    assert len(tried) == 2
    assert breaker(client, tmp_path).read().open


def test_reading_the_breaker_makes_no_file_and_no_key(
    client: "redis.Redis", tmp_path: Path
) -> None:
    folder = tmp_path / "spool"
    assert not breaker(client, folder).read().open
    assert not folder.exists()
    assert not client.exists(KEYS.breaker)
    refused(breaker(client, folder))
    before = written(folder)
    assert breaker(client, folder).read().refused == 1
    assert written(folder) == before


def written(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What a write would change of each file; reading it changes its time of access."""
    stats = {path.name: path.stat() for path in folder.iterdir()}
    return {name: (s.st_ino, s.st_mtime_ns, s.st_size) for name, s in stats.items()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_what_root_writes_by_hand_belongs_to_the_owner_of_the_folder_above(
    client: "redis.Redis", tmp_path: Path
) -> None:
    os.chown(tmp_path, 4711, 4712)
    folder = tmp_path / "spool"
    refused(breaker(client, folder))
    for path in (folder, *folder.iterdir()):
        assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712), path
        assert not path.stat().st_mode & 0o077


@pytest.mark.parametrize("lost", ["redis", "file"])
def test_either_store_keeps_it_open(lost: str, client: "redis.Redis", tmp_path: Path) -> None:
    for _ in range(2):
        refused(breaker(client, tmp_path))
    if lost == "redis":
        client.flushall()
    else:
        (tmp_path / "login-breaker.json").unlink()
    with pytest.raises(StopError):
        breaker(client, tmp_path).reserve()


def test_unlocking_on_one_machine_counts_on_the_others(
    client: "redis.Redis", tmp_path: Path
) -> None:
    here, there = breaker(client, tmp_path / "here"), breaker(client, tmp_path / "there")
    refused(here)
    refused(there)
    with pytest.raises(StopError):
        here.reserve()
    assert here.unlock().failed == 2
    there.reserve().accepted()


def test_unlocking_again_and_again_grants_one_attempt_each(
    client: "redis.Redis", tmp_path: Path
) -> None:
    one = breaker(client, tmp_path)
    for _ in range(2):
        refused(one)
    for failed in (2, 3, 4):
        assert one.unlock().failed == failed
        refused(one)
        with pytest.raises(StopError):
            one.reserve()


def test_a_success_on_one_machine_counts_on_the_others(
    client: "redis.Redis", tmp_path: Path
) -> None:
    here, there = breaker(client, tmp_path / "here"), breaker(client, tmp_path / "there")
    refused(here)
    there.reserve().accepted()
    refused(here)
    assert not here.read().open


def test_other_credentials_have_a_record_of_their_own(
    client: "redis.Redis", tmp_path: Path
) -> None:
    for _ in range(2):
        refused(breaker(client, tmp_path))
    breaker(client, tmp_path, "corrected").reserve().accepted()


def test_a_file_that_cannot_be_read_leaves_one_attempt_and_can_be_written(
    client: "redis.Redis", tmp_path: Path
) -> None:
    (tmp_path / "login-breaker.json").write_text("{")
    refused(breaker(client, tmp_path))
    with pytest.raises(StopError):
        breaker(client, tmp_path).reserve()
    assert [path.name for path in tmp_path.glob("*.new")] == []


def test_a_write_that_was_cut_short_leaves_the_record_before(tmp_path: Path) -> None:
    one = LoginBreaker([FileStore(tmp_path, "digest")])
    refused(one)
    (tmp_path / "login-breaker.new").write_text('{"digest": "{')
    assert one.read().refused == 1
    refused(one)
    assert one.read().open


def test_full_disk_is_logged_once_and_redis_alone_counts(
    client: "redis.Redis", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    one = breaker(client, tmp_path)
    with capture_logs() as logged:
        refused(one)
        refused(one)
    said = [(line["where"], line["why"]) for line in logged]
    assert said == [(str(tmp_path / "login-breaker.json"), "No space left on device")]
    with pytest.raises(StopError):
        one.reserve()
    alone = LoginBreaker([FileStore(tmp_path / "other", "digest")])
    with pytest.raises(UnavailableError) as caught:
        alone.reserve()
    assert "login-breaker.json: No space left on device" in caught.value.detail


def test_without_any_store_no_login_is_tried(tmp_path: Path) -> None:
    (tmp_path / "no-folder").write_text("")
    with connect(Secret("redis://127.0.0.1:1/0"), timeout_s=1, name="tests") as nowhere:
        helpless = breaker(nowhere, tmp_path / "no-folder")
        with pytest.raises(UnavailableError) as caught:
            helpless.reserve()
    assert caught.value.reason == "breaker-unwritable"
    assert helpless.read() == LoginRecord()
