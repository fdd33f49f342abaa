"""The operating port's answers, whatever lies in Redis: in time, never a bare failure, never green by mistake."""

import json
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from jinja2 import StrictUndefined
from structlog.testing import capture_logs

from listener.inspection import consumer_groups
from listener.inspection.pages import IDS_ONLY
from listener.ops.app import create_ops_app
from listener.ops.status_page import snapshot
from listener.queue.keys import Partition, hour_of
from listener.queue.queue import DurableQueue
from listener.settings.settings import Settings
from testbed.ports import free_port

pytestmark = pytest.mark.redis_flavour

WHERE = Partition("fota", 0)
OBSERVATIONS = "{fota:registrar}:observations"
# Markup, a change of direction, a terminal's control characters, and more than fits on any screen.
NASTY = "</td><script>alert(1)</script>\u202e\x1b[31m" + "W" * 100_000


@contextmanager
def app_for(url: str, spool: str = "") -> Iterator[FlaskClient]:
    settings = Settings.from_env(
        {"CALLBACK_TOKEN": "token-of-all-the-tests", "REDIS_URL": url, "SPOOL_DIR": spool}
    )
    with closing(DurableQueue(settings)) as queue:
        app = create_ops_app(settings, queue=queue)
        # A name that a template has wrong fails here, and would show as nothing otherwise.
        app.jinja_env.undefined = StrictUndefined
        yield app.test_client()


@pytest.fixture
def ops(redis_url: str) -> Iterator[FlaskClient]:
    with app_for(redis_url) as client:
        yield client


def text_of(ops: FlaskClient, path: str = "/") -> str:
    answer = ops.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def add(client: Any, data: str, **fields: str) -> str:
    """An entry by hand, of whatever form."""
    about = {"kind": "upgrade-started", "subject": "u", "time": "2026-11-23T08:00:00Z", **fields}
    return str(client.xadd(WHERE.messages, {**about, "data": data}))


def test_a_page_never_searches_the_database(ops: FlaskClient, redis_client: Any) -> None:
    add(redis_client, "{}")
    redis_client.config_resetstat()
    text_of(ops)
    assert redis_client.info("commandstats").keys().isdisjoint({"cmdstat_scan", "cmdstat_keys"})


def test_each_group_is_looked_at_once(redis_url: str, redis_client: Any) -> None:
    add(redis_client, "{}")

    def looks() -> int:
        redis_client.config_resetstat()
        with app_for(redis_url) as ops:
            text_of(ops)
        # Redis 7.0 and later count XINFO's subcommands apart.
        stats = redis_client.info("commandstats").items()
        return sum(told["calls"] for name, told in stats if name.startswith("cmdstat_xinfo"))

    before = looks()
    for number in range(20):
        redis_client.xgroup_create(WHERE.messages, f"group-{number}", "0")
    assert looks() - before == 20


@pytest.mark.parametrize("seed", range(5))
def test_a_lag_that_redis_does_not_know_is_counted_for_all_groups_at_once(
    redis_client: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_groups, "IDS_ONLY", replace(IDS_ONLY, max_entries=7))
    monkeypatch.setattr(consumer_groups, "MAX_COUNTED", 30)
    chance = random.Random(seed)
    ids = [add(redis_client, "{}") for _ in range(50)]
    cursors = ["0-0", ids[0], ids[-1], *chance.sample(ids, 6)]
    for number, cursor in enumerate(cursors):
        redis_client.xgroup_create(WHERE.messages, f"{number}", cursor)
    redis_client.xdel(WHERE.messages, *chance.sample(ids, 5), ids[-1])
    left = [entry_id for entry_id, _ in redis_client.xrange(WHERE.messages)]

    def place(entry_id: str) -> tuple[int, ...]:
        return tuple(int(part) for part in entry_id.split("-"))

    for group in consumer_groups.group_stats(redis_client, WHERE):
        lag = sum(place(entry_id) > place(group.cursor) for entry_id in left)
        if group.lag.exact:
            assert group.lag.entries == lag
        else:
            assert group.lag.entries == 30 <= lag


def test_what_anybody_wrote_is_shown_as_text_and_short(ops: FlaskClient, redis_client: Any) -> None:
    data = json.dumps({"upgradeProgress": {"firmwareName": "\ud800" + NASTY, "deviceId": NASTY}})
    entry_id = add(redis_client, data, subject=NASTY, account=NASTY, kind=NASTY)
    add(redis_client, data, subject=NASTY, account=NASTY, time=NASTY)
    redis_client.xadd(WHERE.quarantine, {"reason": NASTY, "data": NASTY, "time": NASTY})
    redis_client.xgroup_create(WHERE.messages, NASTY[:1000], "0")
    page = text_of(ops)
    message = text_of(ops, f"/messages/0/{entry_id}")
    for text in (page, message):
        assert "&lt;script&gt;alert" in text
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
    assert len(page) < 60_000
    assert "\\u202e" in message
    text_of(ops, "/metrics")


@pytest.mark.parametrize(
    "data", ["[" * 900 + "]" * 900, "[" * 100_000, '"\\ud800"', "\x00", "1" * 9999]
)
def test_a_foreign_entry_of_any_form_is_shown(
    ops: FlaskClient, redis_client: Any, data: str
) -> None:
    entry_id = add(redis_client, data)
    text_of(ops)
    text_of(ops, f"/messages/0/{entry_id}")


@pytest.mark.parametrize(
    "text",
    [
        "[]", "1", "{", "[" * 100_000, "{}",
        '{"tick": "0001-01-01T00:00:00+23:59", "registered_url": null, "ours": true, "result": "x", "reason": "x"}',
        '{"tick": "2026-11-23T08:00:00Z", "registered_url": null, "ours": "yes", "result": "x", "reason": "x"}',
        '{"tick": "2026-11-23T08:00:00Z", "registered_url": {}, "ours": true, "result": "x", "reason": "x"}',
    ],
)  # fmt: skip
def test_an_observation_of_another_form_is_unknown(
    ops: FlaskClient, redis_client: Any, text: str
) -> None:
    redis_client.hset(OBSERVATIONS, "a/v1", text)
    assert "another version of the registrar wrote it" in text_of(ops)
    assert "fota_registration_ours{" not in text_of(ops, "/metrics")


def test_a_key_of_the_wrong_type_is_told_and_not_called_well(
    ops: FlaskClient, redis_client: Any
) -> None:
    redis_client.xgroup_create(WHERE.messages, "billing", "0", mkstream=True)
    redis_client.set(WHERE.arrival_counts(hour_of(datetime.now(UTC).timestamp())), "no hash")
    page = text_of(ops)
    assert "Messages are kept; act before they are not" in page
    assert "WRONGTYPE" in page


def test_the_verdict_tells_what_is_kept_from_what_is_not(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    with app_for(url) as without:
        page = text_of(without)
    assert "No message can be kept" in page
    assert "go to the spool" not in page
    # What only Redis knows is not called empty.
    assert not [
        text for text in ("0 messages", "No message names", ">None", "Empty") if text in page
    ]
    with app_for(url, str(tmp_path)) as spooling:
        assert "Messages are kept; act before they are not" in text_of(spooling)


def test_a_registration_that_was_taken_is_no_loss_of_what_comes_but_of_what_does_not(
    ops: FlaskClient, redis_client: Any
) -> None:
    seen = {"tick": "2026-11-23T08:00:00Z", "ours": False, "result": "yielded", "reason": "yielded"}
    redis_client.hset(OBSERVATIONS, "a/v1", json.dumps({**seen, "registered_url": "https://x/"}))
    assert "Messages may be lost" in text_of(ops)


def test_of_long_messages_fewer_are_read(
    ops: FlaskClient, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "MAX_DATA_CHARS", 1000)
    for _ in range(20):
        add(redis_client, json.dumps({"filler": "x" * 300}))
    assert "Counted from the newest 4 of 20 messages" in text_of(ops)


def test_of_an_upgrade_that_was_not_read_to_its_beginning_no_bar_claims_how_far_it_is(
    ops: FlaskClient, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [{"deviceId": name, "status": "Device Accepted"} for name in "123"]
    scheduled = json.dumps({"upgradeScheduled": {"deviceList": devices}})
    finished = json.dumps({"upgradeFinished": {"deviceId": "1", "status": "UpgradeSuccess"}})
    add(redis_client, scheduled, kind="upgrade-scheduled")
    add(redis_client, finished, kind="upgrade-finished")
    page = text_of(ops)
    assert "1 of 3 devices have ended" in page
    assert "older messages were not read" not in page
    monkeypatch.setattr(snapshot, "MAX_ENTRIES", 1)
    monkeypatch.setattr(snapshot, "MAX_AGE_S", 0)
    page = text_of(ops)
    assert "partly seen" in page
    assert "older messages were not read" in page
    assert "1 of 1 seen" in page
    assert "devices have ended" not in page


@pytest.mark.parametrize(
    "entry_id", ["1-0", "99999999999999999999999-1", "1-99999999999999999999999"]
)
def test_a_message_that_is_not_there_is_not_found(ops: FlaskClient, entry_id: str) -> None:
    assert ops.get(f"/messages/0/{entry_id}").status_code == 404


def test_a_message_cannot_be_shown_without_redis() -> None:
    with app_for(f"redis://127.0.0.1:{free_port()}") as ops:
        answer = ops.get("/messages/0/1-0")
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")


def test_a_fault_of_ours_is_a_problem_and_is_logged_once(
    ops: FlaskClient, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("unexpected")

    monkeypatch.setattr(snapshot, "read_registrations", fail)
    with capture_logs() as logged:
        answer = ops.get("/")
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert "unexpected" not in answer.text
    [line] = logged
    assert (line["event"], line["log_level"], line["route"]) == (
        "operating request failed",
        "error",
        "/",
    )
