"""A sender who has proved itself cannot fill Redis or the log with what is refused."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from listener import refusal_log
from listener.errors import NotJsonError, QueueUnavailableError
from listener.messages.message import Message
from listener.queue import writer
from listener.queue.keys import every_partition
from listener.queue.writer import RedisWriter
from listener.redis_client.script import Script
from listener.refusal_log import INTERVAL_S, MAX_LINES_OF_AUTHENTICATED, RefusalLog
from listener.settings.settings import Settings
from tests.support.cli import listed, run

pytestmark = pytest.mark.redis_flavour

QUARANTINE = "{fota:0}:quarantine"
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def opened(url: str, **settings: str) -> RedisWriter:
    environ = {"REDIS_URL": url, "CALLBACK_TOKEN": "token-of-all-the-tests", **settings}
    return RedisWriter(Settings.from_env(environ))


def test_many_tiny_bodies_leave_no_more_entries_and_keys_than_allowed(
    redis_url: str, redis_client: Any
) -> None:
    queue = opened(redis_url, QUARANTINE_MAX_LENGTH="50")
    for number in range(400):
        queue.quarantine(f"{number}", reason="not-json", arrived=NOW)
    queue.close()
    assert redis_client.xlen(QUARANTINE) == 50
    # Quarantine, fingerprints, counts.
    assert redis_client.dbsize() == 3
    assert redis_client.hlen("{fota:0}:seen:quarantine") <= 50
    assert redis_client.ttl("{fota:0}:seen:quarantine") > 0
    newest = redis_client.xrevrange(QUARANTINE, count=1)
    assert newest[0][1]["data"] == "399"


def test_large_bodies_are_bounded_by_their_bytes(
    redis_url: str, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Script.load("listener.queue", "quarantine.lua")
    text = real.text.replace("256 * 1024 * 1024", "4 * 1024 * 1024")
    assert text != real.text
    small = Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
    load = Script.load
    monkeypatch.setattr(
        Script,
        "load",
        lambda package, name: small if name == "quarantine.lua" else load(package, name),
    )
    queue = opened(redis_url)
    for number in range(1000):
        queue.quarantine(f"tiny {number}", reason="not-json", arrived=NOW)
    for number in range(20):
        queue.quarantine(f"{number}" + "x" * 2**20, reason="not-json", arrived=NOW)
    queue.close()
    assert redis_client.memory_usage(QUARANTINE, samples=0) < 6 * 2**20
    found = redis_client.xrange(QUARANTINE)
    assert 2 <= len(found) <= 4
    assert found[-1][1]["data"].startswith("19x")


@pytest.mark.parametrize("data", ["\\xff" * 4000, "\u20ac" * 4000, "x" * 4097, "\x00" * 9000])
def test_long_text_is_cut_and_its_size_and_digest_are_kept(
    redis_url: str, redis_client: Any, data: str
) -> None:
    queue = opened(redis_url, MAX_BODY_BYTES="4096")
    queue.quarantine(data, reason="not-json", arrived=NOW)
    queue.close()
    ((_, fields),) = redis_client.xrange(QUARANTINE)
    assert len(fields["data"].encode()) <= 4096
    assert data.startswith(fields["data"])
    assert int(fields["bytes"]) == len(data.encode())
    assert fields["sha256"] == hashlib.sha256(data.encode()).hexdigest()
    (row,) = listed(run(redis_url, "quarantine", "list", "--json"))
    assert row["bytes"] == len(data.encode())


def test_same_body_for_another_reason_and_a_dropped_one_are_kept(
    redis_url: str, redis_client: Any
) -> None:
    queue = opened(redis_url)
    for reason in ("not-json", "not-json", "wrong-shape"):
        queue.quarantine("{", reason=reason, arrived=NOW)
    assert redis_client.xlen(QUARANTINE) == 2
    redis_client.xtrim(QUARANTINE, maxlen=0)
    queue.quarantine("{", reason="not-json", arrived=NOW)
    queue.close()
    assert redis_client.xlen(QUARANTINE) == 1


def test_body_is_kept_by_a_user_without_the_right_to_remember_it(
    redis_url: str, redis_client: Any
) -> None:
    rights = "+@connection +eval +evalsha +xadd +xrange +xlen +xdel +set +get"
    redis_client.acl_setuser(
        "narrow",
        enabled=True,
        passwords=["+secret"],
        keys=["*"],
        commands=["-@all", *rights.split()],
    )
    try:
        url = redis_url.replace("unix://", "unix://narrow:secret@").replace(
            "redis://", "redis://narrow:secret@"
        )
        queue = opened(url)
        queue.quarantine("{", reason="not-json", arrived=NOW)
        queue.close()
    finally:
        redis_client.acl_deluser("narrow")
    assert redis_client.xlen(QUARANTINE) == 1


def test_size_of_an_entry_is_that_of_all_that_is_sent() -> None:
    long = "\u20ac" * 2**20
    message = Message(
        id="0" * 32, kind="unknown", type="t", account=long, subject=long, time="now",
        request_id="r" * 128, data=b"x" * 100,
    )  # fmt: skip
    entry = writer._entry(every_partition("fota", 1)[0], message)
    sent = sum(len(part if isinstance(part, bytes) else part.encode()) for part in entry.fields())
    assert sent > 15 * 2**20
    assert sent <= entry.size <= 2 * sent
    assert message.size > 2 * 2**20


def test_lines_of_a_proven_sender_are_throttled_once_they_are_many() -> None:
    now = 0.0
    refusals = RefusalLog(lambda: now)

    def refuse(times: int) -> list[Any]:
        with capture_logs() as told:
            for _ in range(times):
                refusals.count_and_log(NotJsonError(), authenticated=True)
        return [line for line in told if line["log_level"] == "warning"]

    assert len(refuse(3)) == 3
    assert len(refuse(1000)) == MAX_LINES_OF_AUTHENTICATED - 3
    now += INTERVAL_S
    lines = refuse(1000)
    assert len(lines) == MAX_LINES_OF_AUTHENTICATED
    assert lines[0]["suppressed"] == 1003 - MAX_LINES_OF_AUTHENTICATED
    assert "suppressed" not in lines[1]


@pytest.mark.parametrize("authenticated", [True, False])
def test_every_message_that_was_not_kept_is_logged(authenticated: bool) -> None:
    refusals = RefusalLog(lambda: 0.0)
    with capture_logs() as lines:
        for _ in range(3 * refusal_log.MAX_LINES_OF_AUTHENTICATED):
            refusals.count_and_log(QueueUnavailableError(), authenticated=authenticated)
    assert len(lines) == 3 * refusal_log.MAX_LINES_OF_AUTHENTICATED


def test_texts_that_differ_only_where_they_are_cut_are_both_kept(
    redis_url: str, redis_client: Any
) -> None:
    queue = opened(redis_url, MAX_BODY_BYTES="1024")
    for end in ("a", "b", "a", ""):
        queue.quarantine("x" * 1024 + end, reason="not-json", arrived=NOW)
    queue.close()
    assert redis_client.xlen(QUARANTINE) == 3
