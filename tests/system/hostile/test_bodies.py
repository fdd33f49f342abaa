"""Whatever an authentic sender's body is, it is answered 200 or 400; and 200 means that it is kept, equal.

HOSTILE_EXAMPLES sets how many bodies are tried by each test.
"""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testbed.polling import wait_until
from testbed.service import RECEIVER, Service

TOKEN = "token-of-all-the-tests"
PATH = f"/cb/{TOKEN}"
LOGIN = {"username": "listener", "password": "correct-horse-battery"}
STREAM = "{fota:0}:messages"
EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "100" if os.environ.get("CI") else "25"))
thoroughly = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Receiver:
    """A receiver with a kept connection, and the Redis behind it."""

    def __init__(self, service: Service, client: Any) -> None:
        self._connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
        self._client = client
        self._kept: dict[str, dict[str, str]] = {}
        self._last = "-"

    def close(self) -> None:
        self._connection.close()

    def post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        self._connection.request("POST", PATH, body)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def kept(self, id_: str) -> dict[str, str]:
        """The fields of an entry, exactly one, by its id."""
        start = "-" if self._last == "-" else f"({self._last}"
        for entry, fields in self._client.xrange(STREAM, start):
            self._last = entry
            assert fields["id"] not in self._kept, "kept twice"
            self._kept[fields["id"]] = fields
        return self._kept[id_]


@pytest.fixture(scope="module")
def receiver(redis_server: str) -> Iterator[Receiver]:
    proof = {
        "CALLBACK_TOKEN": TOKEN,
        "CALLBACK_USERNAME": LOGIN["username"],
        "CALLBACK_PASSWORD": LOGIN["password"],
    }
    with redis.Redis.from_url(redis_server, decode_responses=True) as client:
        client.flushall()
        with Service(*RECEIVER, **proof, REDIS_URL=redis_server) as service:
            service.wait_until_ready()
            found = Receiver(service, client)
            yield found
            found.close()


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
# Whole numbers of any length, and such texts of broken ones as JSON has: `1E+5`, `-0.0`, `1.10`.
NUMBERS = st.integers() | st.integers(-(10**400), 10**400) | st.floats(allow_nan=True)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
NAMES = TEXT | st.sampled_from(
    [
        *("type", "accountName", "participantName", "upgradeId", "firmwareList"),
        *("upgradeScheduled", "upgradeProgress", "upgradeFinished", "Username", "PASSWORD"),
    ]
)
TYPES = st.sampled_from(["firmwareList", "upgradeScheduled", "upgradeProgress", "upgradeFinished"])
OBJECTS = st.dictionaries(NAMES, VALUES | TYPES, max_size=8)


def exact(text: str) -> Any:
    """JSON with every number as it is written, but of one form for one value."""
    return json.loads(text, strict=False, parse_int=lambda t: ("int", int(t)), parse_float=double)


def double(text: str) -> tuple[str, float]:
    # Other numbers than whole ones become doubles: that is what ADR 3 promises.
    return ("double", float(Decimal(text)))


def lenient(body: bytes) -> str:
    """The text of a body as a patient reader sees it: any UTF, control characters, half surrogates."""
    text = body.decode(json.detect_encoding(body), "surrogatepass").lstrip("\ufeff").rstrip("\0 \n")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain(name: str) -> str:
    return name.lower().strip()


@example({"iccid": 89148000000000000001, "big": 10**399, "small": -0.0})
@example({"nul": "\x00", "\x00": "\u2028\ufeff\U0001f4a9", "": {"": [[], {}, [None]]}})
@example({"type": "upgradeFinished", "upgradeFinished": {"upgradeId": "x\x00y\r\n"}})
@example({"type": "\x1b[2J\n", "accountName": "a\r\nb/ä%"})
@given(OBJECTS)
@thoroughly
def test_any_object_is_kept_as_it_is_or_refused(
    receiver: Receiver, content: dict[str, Any]
) -> None:
    body = json.dumps({**content, **LOGIN}).encode()
    status, answer = receiver.post(body)
    assert status in (200, 400), answer
    if status == 200:
        sent = exact(json.dumps(content))
        expected = {name: value for name, value in sent.items() if plain(name) not in LOGIN}
        fields = receiver.kept(answer["id"])
        # As texts: True is no 1, and 1.0 is none.
        assert repr(sorted(exact(fields["data"]).items())) == repr(sorted(expected.items()))
        assert LOGIN["password"] not in str(fields)
    elif answer["reason"] == "not-json":
        # Nothing here nests deeply: what is left to refuse are numbers that JSON does not have.
        assert "NaN" in body.decode() or "Infinity" in body.decode()
    else:
        assert answer["reason"] == "wrong-shape"


@example(b"")
@example(json.dumps(LOGIN).encode())
@example(json.dumps(LOGIN).encode("utf-16"))
@example(b"\xef\xbb\xbf" + json.dumps(LOGIN).encode())
@given(st.binary(max_size=300))
@thoroughly
def test_any_bytes_are_refused_unless_they_are_a_message(receiver: Receiver, body: bytes) -> None:
    assert_200_or_400(receiver, body)


@given(st.data())
@thoroughly
def test_a_message_with_some_bytes_changed_is_kept_or_refused(
    receiver: Receiver, data: st.DataObject
) -> None:
    body = bytearray(json.dumps({**LOGIN, "type": "new", "n": [1, 2.5, None, "ä"]}).encode())
    # Behind the credentials, so that these stay right.
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(len(json.dumps(LOGIN)) - 1, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=4))
    assert_200_or_400(receiver, bytes(body))


def test_unreadable_message_is_quarantined_where_the_password_is_the_only_proof(
    redis_server: str,
) -> None:
    login = {"CALLBACK_USERNAME": LOGIN["username"], "CALLBACK_PASSWORD": LOGIN["password"]}
    right = json.dumps({**LOGIN, "note": "Grüße"}, ensure_ascii=False).encode("latin-1")
    wrong = right.replace(b"battery", b"batterx")
    with (
        redis.Redis.from_url(redis_server, decode_responses=True) as client,
        Service(*RECEIVER, **login, REDIS_URL=redis_server, QUEUE_NAMESPACE="only") as service,
    ):
        service.wait_until_ready()
        answers = [service.post(body) for body in (wrong, right, wrong, right)]
        assert {(answer.status_code, answer.text) for answer in answers} == {(400, answers[0].text)}
        wait_until(lambda: client.xlen("{only:0}:quarantine") == 1)
        [(_, fields)] = client.xrange("{only:0}:quarantine")
        assert fields["reason"] == "not-json"
        assert "Gr\\xfc\\xdfe" in fields["data"]
        assert LOGIN["password"] not in fields["data"] + service.log()


def assert_200_or_400(receiver: Receiver, body: bytes) -> None:
    status, answer = receiver.post(body)
    if status == 200:
        sent: dict[str, Any] = exact(lenient(body))
        assert {name: sent.pop(name) for name in LOGIN} == LOGIN
        assert exact(receiver.kept(answer["id"])["data"]) == sent
    # A body without the right password may be told just that.
    assert status in (200, 400) or (
        status == 401 and "password" not in body.decode(errors="replace")
    )
