"""The callback endpoint with a real queue behind it: what is kept, what is refused, and how."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from listener.callback import ownership_probe, refused_bodies
from listener.callback.app import create_app
from listener.errors import PROBLEM_TYPES, QueueUnavailableError
from listener.messages.message import Message
from listener.queue.queue import DurableQueue, MessageQueue, PutResult, StoredIn
from listener.settings.settings import Settings
from testbed.polling import wait_until

SAMPLES = sorted((Path(__file__).parents[3] / "listener" / "messages" / "samples").glob("*.json"))
STREAM = "{fota:0}:messages"
QUARANTINE = "{fota:0}:quarantine"
PATH = "/cb/token-of-all-the-tests"
ENVIRON = {
    "PUBLIC_URL": "https://fota.example/cb",
    "CALLBACK_TOKEN": "token-of-all-the-tests",
    "CALLBACK_USERNAME": "listener",
    "CALLBACK_PASSWORD": "correct-horse-battery",
    "THINGSPACE_API_VERSIONS": "v1,v2",
}
LOGIN = {"username": "listener", "password": "correct-horse-battery"}


# Finds the log lines of an event.
Lines = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines above the level debug."""
    with capture_logs() as captured:
        yield lambda event: [
            dict(line)
            for line in captured
            if line["event"] == event and line["log_level"] != "debug"
        ]


@contextmanager
def serving(
    url: str, clock: Callable[[], float] = time.monotonic, /, **changes: str
) -> Iterator[FlaskClient]:
    settings = Settings.from_env({**ENVIRON, "REDIS_URL": url, "SPOOL_DIR": "", **changes})
    queue = DurableQueue(settings)
    yield create_app(settings, queue=queue, clock=clock).test_client()
    queue.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[FlaskClient]:
    with serving(redis_url) as found:
        yield found


def body(answer: TestResponse) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer.data)
    return content


def assert_problem(answer: TestResponse, status: int, reason: str) -> None:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert body(answer)["reason"] == reason
    assert body(answer)["status"] == status


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_kept_once_however_often_it_comes(
    sample: Path, client: FlaskClient, redis_client: Any
) -> None:
    first = client.post(PATH, data=sample.read_bytes())
    again = client.post(PATH, data=sample.read_bytes(), content_type="text/plain")
    assert (first.status_code, again.status_code) == (200, 200)
    assert body(first)["duplicate"] is False
    assert body(again) == {"id": body(first)["id"], "duplicate": True}
    [(_, fields)] = redis_client.xrange(STREAM)
    assert fields["id"] == body(first)["id"]
    assert "correct-horse-battery" not in str(fields)


def test_the_request_id_is_the_senders_if_it_is_fit(client: FlaskClient, redis_client: Any) -> None:
    client.post(PATH, json={"n": 1}, headers={"X-Request-Id": "req-1.2_3"})
    client.post(PATH, json={"n": 2}, headers={"X-Request-Id": "bad id\twith blanks"})
    client.post(PATH, json={"n": 3})
    ids = [fields["requestid"] for _, fields in redis_client.xrange(STREAM)]
    assert ids[0] == "req-1.2_3"
    assert all(len(made) == 32 and made.isalnum() for made in ids[1:])


def test_entry_has_the_trace_context_of_the_request_that_came_first(
    client: FlaskClient, redis_client: Any
) -> None:
    first, second = (f"00-0af7651916cd43dd8448eb211c80319c-{n:016x}-01" for n in (1, 2))
    ids = {
        body(client.post(PATH, json={"n": 1}, headers={"Traceparent": sent}))["id"]
        for sent in (first, second, "00-hostile\xff")
    }
    assert len(ids) == 1
    client.post(PATH, json={"n": 2})
    client.post(PATH, json={"n": 2}, headers={"traceparent": first})
    client.post(PATH, json={"n": 3}, headers={"traceparent": f"{first},{first}"})
    found = [fields.get("traceparent") for _, fields in redis_client.xrange(STREAM)]
    assert found == [first, None, None]


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"{", 400, "not-json"),
        (b"[]", 400, "not-an-object"),
        (json.dumps({**LOGIN, "type": "firmwareList", "firmwareList": 1}), 400, "wrong-shape"),
        (json.dumps({"username": "listener", "password": "no"}), 401, "credentials-wrong"),
        (json.dumps({"username": "listener"}), 401, "credentials-missing"),
    ],
)
def test_a_refusal_tells_its_reason_and_adds_no_message(
    content: bytes, status: int, reason: str, client: FlaskClient, redis_client: Any
) -> None:
    assert_problem(client.post(PATH, data=content), status, reason)
    assert redis_client.xlen(STREAM) == 0
    kept = [fields["reason"] for _, fields in redis_client.xrange(QUARANTINE)]
    assert kept == ([reason] if status == 400 else [])


def test_a_message_for_another_account_is_refused_and_quarantined(
    redis_url: str, redis_client: Any
) -> None:
    content = {**LOGIN, "accountName": "0000000000-00009", "type": "new"}
    with serving(redis_url, THINGSPACE_ACCOUNTS="0242078689-00001") as client:
        assert_problem(client.post(PATH, json=content), 403, "account-refused")
    [(_, fields)] = redis_client.xrange(QUARANTINE)
    assert json.loads(fields["data"]) == {"accountName": "0000000000-00009", "type": "new"}


def test_a_refused_body_is_quarantined_without_its_password(
    client: FlaskClient, redis_client: Any
) -> None:
    client.post(PATH, data=b'{"password": "correct-horse-battery", "a": ')
    [(_, fields)] = redis_client.xrange(QUARANTINE)
    assert fields["data"] == '{"password": "***", "a": '


def test_only_a_proven_sender_gets_into_the_quarantine(redis_url: str, redis_client: Any) -> None:
    misshapen = {"type": "firmwareList", "firmwareList": 1}
    only_login = {"CALLBACK_TOKEN": "", "THINGSPACE_API_VERSIONS": "v1"}
    with serving(redis_url, **only_login) as client:
        assert_problem(client.post("/cb", data=b"{"), 400, "not-json")
        assert redis_client.xlen(QUARANTINE) == 0
        assert_problem(client.post("/cb", json={**LOGIN, **misshapen}), 400, "wrong-shape")
        assert redis_client.xlen(QUARANTINE) == 1
    anybody = {**only_login, "CALLBACK_USERNAME": "", "CALLBACK_PASSWORD": ""}
    with serving(redis_url, **anybody, ALLOW_ANY_SENDER="true") as client:
        assert_problem(client.post("/cb", json={**misshapen, "n": 2}), 400, "wrong-shape")
        assert redis_client.xlen(QUARANTINE) == 1


def test_trailing_slash_is_the_same_path(client: FlaskClient, redis_client: Any) -> None:
    answers = [client.post(path, json=LOGIN) for path in (PATH, f"{PATH}/")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert client.post(f"{PATH}//", json=LOGIN).status_code == 404
    assert redis_client.xlen(STREAM) == 1


UMLAUT = {**LOGIN, "type": "new", "note": "Grüße"}
TEXT = json.dumps(UMLAUT, ensure_ascii=False)


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (TEXT.encode(), ""),
        (TEXT.encode("latin-1"), 'application/json; charset="ISO-8859-1"'),
        (TEXT.encode("utf-16"), "application/json"),
        (TEXT.encode("utf-16-be"), "application/json; charset=utf-16be"),
        (TEXT.encode("utf-32-le"), ""),
        (b"\xef\xbb\xbf" * 2 + TEXT.encode() + b"\0\n", "text/plain"),
    ],
)
def test_message_is_the_same_in_every_charset(
    content: bytes, content_type: str, client: FlaskClient, redis_client: Any
) -> None:
    plain = body(client.post(PATH, json=UMLAUT))
    answer = client.post(PATH, data=content, content_type=content_type)
    assert body(answer) == {"id": plain["id"], "duplicate": True}


def test_odd_characters_in_a_text_are_kept(client: FlaskClient, redis_client: Any) -> None:
    login = json.dumps(LOGIN).encode()[:-1]
    content = login + b', "note": "two\nlines\tand \\ud83d half"}'
    assert client.post(PATH, data=content).status_code == 200
    [(_, fields)] = redis_client.xrange(STREAM)
    assert json.loads(fields["data"]) == {"note": "two\nlines\tand \ufffd half"}


ONLY_LOGIN = {"CALLBACK_TOKEN": "", "THINGSPACE_API_VERSIONS": "v1"}
UNREADABLE = [
    (TEXT.encode("latin-1"), "not-json"),
    (TEXT.encode()[:-1], "not-json"),
    (TEXT.encode() * 2, "not-json"),
    (TEXT.encode("utf-16")[:-2], "not-json"),
    (json.dumps([UMLAUT]).encode(), "not-an-object"),
    (json.dumps(TEXT).encode(), "not-an-object"),
    (json.dumps(json.dumps([UMLAUT])).encode(), "not-an-object"),
    (TEXT.replace('"type"', '"password": "x", "type"').encode(), "ambiguous"),
    (b"username=listener&password=correct-horse-battery", "not-json"),
]


@pytest.mark.parametrize(("content", "reason"), UNREADABLE)
def test_unreadable_body_with_the_password_inside_is_quarantined_without_it(
    content: bytes, reason: str, redis_url: str, redis_client: Any, lines: Lines
) -> None:
    with serving(redis_url, **ONLY_LOGIN) as client:
        assert_problem(client.post("/cb", data=content), 400, reason)
    wait_until(lambda: redis_client.xlen(QUARANTINE) == 1)
    [(_, fields)] = redis_client.xrange(QUARANTINE)
    assert fields["reason"] == reason
    assert "***" in fields["data"]
    assert "battery" not in str(fields) + str(lines("request refused"))


@pytest.mark.parametrize("previous", [True, False])
def test_unreadable_body_proves_itself_by_the_right_password_alone(
    previous: bool, redis_url: str, redis_client: Any
) -> None:
    rotated = {
        "CALLBACK_PASSWORD": "another-password",
        "CALLBACK_PASSWORD_PREVIOUS": "correct-horse-battery",
    }
    with serving(redis_url, **ONLY_LOGIN, **(rotated if previous else {})) as client:
        for wrong in (b"correct-horse-batterx", b"correct-horse-batter", b"", b"\0", b"***"):
            content = TEXT.encode()[:-1].replace(b"correct-horse-battery", wrong)
            assert_problem(client.post("/cb", data=content), 400, "not-json")
        assert redis_client.xlen(QUARANTINE) == 0
        assert_problem(client.post("/cb", data=TEXT.encode()[:-1]), 400, "not-json")
        wait_until(lambda: redis_client.xlen(QUARANTINE) == 1)


class FrozenQueue:
    """A queue whose quarantine hangs until it is told to go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def put(self, message: Message) -> PutResult:
        raise AssertionError

    def quarantine(self, data: str, *, reason: str, arrived: object) -> None:
        self.entered.set()
        self.go_on.wait(10)

    def check(self) -> StoredIn:
        raise AssertionError

    def close(self) -> None: ...


def test_answer_and_its_time_do_not_show_whether_the_password_was_inside() -> None:
    queue = FrozenQueue()
    settings = Settings.from_env({**ENVIRON, **ONLY_LOGIN})
    client = create_app(settings, queue=queue).test_client()
    right, wrong = TEXT.encode()[:-1], TEXT.encode()[:-1].replace(b"battery", b"batterx")
    answers, times = [], []
    try:
        for content in (wrong, right):
            begun = time.monotonic()
            answers.append(client.post("/cb", data=content))
            times.append(time.monotonic() - begun)
        assert queue.entered.wait(10), "it is being kept, and nobody waited for it"
    finally:
        queue.go_on.set()
    assert answers[0].data == answers[1].data
    assert answers[0].headers == answers[1].headers
    assert min(times) >= refused_bodies.HIDING_S


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/", "/cb", "/cb/", "/cb/token-of-all-the-test", "/cb/x/", "/x", "//cb"]
)
def test_a_wrong_token_looks_like_any_wrong_path(
    method: str, path: str, client: FlaskClient
) -> None:
    answer = client.open(path, method=method, json=LOGIN)
    elsewhere = client.open("/nowhere", method=method, json=LOGIN)
    assert answer.status_code == 404
    assert answer.data == elsewhere.data
    assert answer.headers == elsewhere.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"])
def test_the_right_path_takes_posts_only(method: str, client: FlaskClient) -> None:
    answer = client.open(PATH, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_the_source_is_checked_before_the_body(redis_url: str) -> None:
    with serving(redis_url, CALLBACK_SOURCES="thingspace", TRUSTED_PROXIES="1") as client:
        refused = client.post(PATH, data=b"{", headers={"X-Forwarded-For": "192.0.2.7"})
        assert_problem(refused, 403, "source-refused")
        accepted = client.post(PATH, json=LOGIN, headers={"X-Forwarded-For": "3.87.163.45"})
        assert accepted.status_code == 200


def test_a_body_over_the_limit_is_refused_before_all_else(redis_url: str) -> None:
    with serving(redis_url, MAX_BODY_BYTES="1024") as client:
        assert_problem(client.post(PATH, data=b"x" * 1025), 413, "too-large")
        assert_problem(client.post("/nowhere", data=b"x" * 1025), 413, "too-large")
        padding = "x" * (1024 - len(json.dumps({**LOGIN, "n": ""})))
        assert client.post(PATH, data=json.dumps({**LOGIN, "n": padding})).status_code == 200


def test_a_refusal_repeats_nothing_of_the_request(client: FlaskClient) -> None:
    answer = client.post("/echo-me?and=me", data=b'{"me": "too"}', headers={"X-Me": "three"})
    assert not any(word in answer.data + str(answer.headers).encode() for word in (b"me", b"three"))


def test_the_previous_token_and_password_are_still_accepted(redis_url: str) -> None:
    rotated = {
        "CALLBACK_TOKEN": "new-token-of-all-the-tests",
        "CALLBACK_TOKEN_PREVIOUS": ENVIRON["CALLBACK_TOKEN"],
        "CALLBACK_PASSWORD": "new-password",
        "CALLBACK_PASSWORD_PREVIOUS": ENVIRON["CALLBACK_PASSWORD"],
    }
    with serving(redis_url, **rotated) as client:
        assert client.post(PATH, json=LOGIN).status_code == 200
        new = {"username": "listener", "password": "new-password", "n": 1}
        assert client.post("/cb/new-token-of-all-the-tests", json=new).status_code == 200


def test_the_use_of_a_previous_secret_is_told_now_and_then(redis_url: str, lines: Lines) -> None:
    rotated = {
        "CALLBACK_TOKEN": "new-token-of-all-the-tests",
        "CALLBACK_TOKEN_PREVIOUS": ENVIRON["CALLBACK_TOKEN"],
        "CALLBACK_PASSWORD": "new-password",
        "CALLBACK_PASSWORD_PREVIOUS": ENVIRON["CALLBACK_PASSWORD"],
    }
    now = [100.0]
    with serving(redis_url, lambda: now[0], **rotated) as client:
        new = {"username": "listener", "password": "new-password"}
        assert client.post("/cb/new-token-of-all-the-tests", json=new).status_code == 200
        assert lines("sender still uses the previous secret") == []
        for number in range(3):
            assert client.post(PATH, json={**LOGIN, "n": number}).status_code == 200
        # A stranger who has only the old token proves nothing, and is not counted.
        client.post(PATH, json={**LOGIN, "password": "wrong"})
        now[0] += 10
        assert client.post(PATH, json={**LOGIN, "n": 4}).status_code == 200
    told = [
        (line["setting"], line["suppressed"])
        for line in lines("sender still uses the previous secret")
    ]
    assert sorted(told) == [
        ("CALLBACK_PASSWORD_PREVIOUS", 0),
        ("CALLBACK_PASSWORD_PREVIOUS", 2),
        ("CALLBACK_TOKEN_PREVIOUS", 0),
        ("CALLBACK_TOKEN_PREVIOUS", 2),
    ]


def test_strangers_leave_a_line_now_and_then_and_ask_nothing_of_the_queue(lines: Lines) -> None:
    now = [100.0]
    queue = BrokenQueue(KeyError("asked"))
    client = broken(queue, lambda: now[0])
    for _ in range(50):
        assert client.post("/nowhere", data=b"{").status_code == 404
        assert client.post(PATH, json={**LOGIN, "password": "no"}).status_code == 401
        assert client.put(PATH).status_code == 405
    told = [(line["reason"], line["suppressed"]) for line in lines("request refused")]
    assert told == [("not-found", 0), ("credentials-wrong", 0), ("method-not-allowed", 0)]
    now[0] += 10
    client.post("/nowhere")
    assert lines("request refused")[-1]["suppressed"] == 49
    assert queue.calls == 0


def test_what_a_proven_sender_is_refused_is_told_each_time(
    client: FlaskClient, lines: Lines
) -> None:
    for _ in range(3):
        assert client.post(PATH, data=b"{").status_code == 400
    assert [line["reason"] for line in lines("request refused")] == ["not-json"] * 3


def test_a_message_not_kept_is_told_each_time(lines: Lines) -> None:
    client = broken(BrokenQueue(QueueUnavailableError("down")))
    for _ in range(3):
        client.post(PATH, json=LOGIN)
        client.get("/readyz")
    assert len(lines("message not kept")) == 3
    # Anybody may ask for this.
    assert len(lines("not ready")) == 1


def test_a_log_line_shows_little_of_what_a_sender_wrote(client: FlaskClient, lines: Lines) -> None:
    wild = {**LOGIN, "accountName": "\x1b[2J\n" + "a" * 5000, "upgradeId": "\u202eb\x00"}
    assert client.post(PATH, json=wild).status_code == 200
    [line] = lines("message kept")
    assert line["account"] == "\ufffd[2J\ufffd" + "a" * 95
    assert line["upgrade"] == "\ufffdb\ufffd"


def test_a_log_line_tells_where_a_message_is_kept(
    client: FlaskClient, lines: Lines, tmp_path: Path
) -> None:
    client.post(PATH, json=LOGIN)
    with serving("redis://127.0.0.1:1", SPOOL_DIR=str(tmp_path)) as without_redis:
        without_redis.post(PATH, json=LOGIN)
        without_redis.post(PATH, json=LOGIN)
    told = [(line["keeper"], line["result"]) for line in lines("message kept")]
    assert told == [("redis", "new"), ("spool", "new"), ("spool", "duplicate")]


@pytest.mark.parametrize("compressed", [{"Content-Encoding": "gzip"}, {}], ids=["named", "seen"])
def test_a_compressed_body_is_refused_and_nothing_of_it_kept(
    compressed: dict[str, str], client: FlaskClient, redis_client: Any
) -> None:
    content = gzip.compress(json.dumps(LOGIN).encode(), 0)
    assert_problem(client.post(PATH, data=content, headers=compressed), 400, "compressed")
    [(_, fields)] = redis_client.xrange(QUARANTINE)
    assert (fields["reason"], fields["data"]) == ("compressed", "")


def test_plain_body_that_is_called_compressed_is_kept_in_the_quarantine(
    client: FlaskClient, redis_client: Any
) -> None:
    gzipped = {"Content-Encoding": "gzip"}
    assert_problem(client.post(PATH, json={**LOGIN, "n": 1}, headers=gzipped), 400, "compressed")
    [(_, fields)] = redis_client.xrange(QUARANTINE)
    assert json.loads(fields["data"]) == {"n": 1}


def test_of_two_passwords_none_is_kept_and_neither_is_guessed(
    client: FlaskClient, redis_client: Any
) -> None:
    for first, last in (("correct-horse-battery", "other"), ("other", "correct-horse-battery")):
        twice = f'{{"username": "listener", "password": "{first}", "password": "{last}"}}'
        assert_problem(client.post(PATH, data=twice), 400, "ambiguous")
    cased = {**LOGIN, "Password": "other-1", "PASSWORD": "other-2", "pa\u017f\u017fword": "other-3"}
    assert client.post(PATH, json=cased).status_code == 200
    stored = str([redis_client.xrange(STREAM), redis_client.xrange(QUARANTINE)])
    assert "battery" not in stored
    assert "other" not in stored


def test_forged_headers_do_not_move_the_sender(redis_url: str) -> None:
    listed = "3.87.163.45"
    forged = [
        {"X-Real-IP": listed},
        {"Forwarded": f"for={listed}"},
        {"X-Client-IP": listed, "True-Client-IP": listed, "CF-Connecting-IP": listed},
        {"X-Forwarded-For": f"{listed}, {listed}, 192.0.2.7"},
        {"X-Forwarded-For": f"{listed},,"},
        {"X-Forwarded-Host": listed, "X-Forwarded": listed},
        [("X-Forwarded-For", listed), ("X-Forwarded-For", "192.0.2.7")],
    ]
    with serving(redis_url, CALLBACK_SOURCES="thingspace", TRUSTED_PROXIES="1") as client:
        for headers in forged:
            answer = client.post(PATH, json=LOGIN, headers=headers)
            assert_problem(answer, 403, "source-refused")
        lines = [("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", listed)]
        assert client.post(PATH, json=LOGIN, headers=lines).status_code == 200
    with serving(redis_url, CALLBACK_SOURCES="thingspace") as client:
        answer = client.post(PATH, json=LOGIN, headers={"X-Forwarded-For": listed})
        assert_problem(answer, 403, "source-refused")


def test_alive_without_and_ready_with_redis(client: FlaskClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert body(client.get("/readyz")) == {"status": "ready", "keeper": "redis"}


def test_the_probe_is_answered_at_the_right_path_only(redis_url: str) -> None:
    headers = {ownership_probe.NONCE_HEADER: "nonce-1"}
    with serving(redis_url) as client:
        first = body(client.get(PATH, headers=headers))
        assert len(first["answer"]) == 64
        assert client.get("/cb", headers=headers).status_code == 404
        assert client.get(PATH, headers={ownership_probe.NONCE_HEADER: "n" * 65}).status_code == 400
    with serving(redis_url, QUEUE_NAMESPACE="another") as client:
        assert body(client.get(PATH, headers=headers)) != first


class BrokenQueue:
    """Stands in where a failure is needed that no Redis shows on demand."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.asked = 0
        self.calls = 0

    def put(self, message: Message) -> PutResult:
        self.calls += 1
        raise self._error

    def quarantine(self, data: str, *, reason: str, arrived: object) -> None:
        self.calls += 1
        raise self._error

    def check(self) -> StoredIn:
        self.asked += 1
        raise self._error

    def close(self) -> None: ...


def broken(queue: MessageQueue, clock: Any = lambda: 0.0) -> FlaskClient:
    settings = Settings.from_env(ENVIRON)
    return create_app(settings, queue=queue, clock=clock).test_client()


def test_what_cannot_be_kept_is_answered_503_and_come_again() -> None:
    client = broken(BrokenQueue(QueueUnavailableError("down")))
    answer = client.post(PATH, json=LOGIN)
    assert_problem(answer, 503, "queue-unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert_problem(client.get("/readyz"), 503, "queue-unavailable")
    assert client.get("/healthz").status_code == 200


def test_a_malformed_message_is_told_so_even_if_it_cannot_be_quarantined() -> None:
    client = broken(BrokenQueue(QueueUnavailableError("down")))
    assert_problem(client.post(PATH, data=b"{"), 400, "not-json")


def test_an_error_of_ours_is_never_a_success() -> None:
    answer = broken(BrokenQueue(KeyError("bug"))).post(PATH, json=LOGIN)
    assert_problem(answer, 503, "internal-error")
    assert answer.headers["Retry-After"]


def test_strangers_cannot_make_readiness_expensive() -> None:
    now = [100.0]
    queue = BrokenQueue(QueueUnavailableError("down"))
    client = broken(queue, lambda: now[0])
    for _ in range(5):
        client.get("/readyz")
    assert queue.asked == 1
    now[0] += 1
    client.get("/readyz")
    assert queue.asked == 2


def test_every_reason_has_an_answer_of_its_own_kind() -> None:
    for reason, answer in PROBLEM_TYPES.items():
        assert reason == reason.lower()
        assert 400 <= answer.status <= 503
        assert answer.title.endswith(".")


def test_no_route_is_there_that_is_not_meant() -> None:
    app = create_app(Settings.from_env(ENVIRON), queue=BrokenQueue(KeyError()))
    assert {(rule.rule, rule.endpoint, rule.methods) for rule in app.url_map.iter_rules()} == {
        ("/healthz", "health.alive", None),
        ("/readyz", "health.ready", None),
        ("/<path:path>", "callback.receive", None),
    }


def test_second_attempt_with_a_higher_counter_is_a_duplicate(
    client: FlaskClient, redis_client: Any
) -> None:
    content = {**LOGIN, "type": "new", "maxCallbackThreshold": 4}
    answers = [
        body(client.post(PATH, json={**content, name: count}))
        for name, count in (("callbackCount", 1), ("callbackCount", 2), ("CallbackCount", "3"))
    ]
    assert [answer["duplicate"] for answer in answers] == [False, True, True]
    [(_, fields)] = redis_client.xrange(STREAM)
    assert json.loads(fields["data"])["callbackCount"] == 1
