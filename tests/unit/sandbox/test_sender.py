"""The sender with a target that is a function: what it sends, and when it sends again."""

import json
import threading
import time
from collections.abc import Callable

import requests

from sandbox.accounts.registrations import Login, Registration, Registrations
from sandbox.delivery.deliveries import Deliveries
from sandbox.delivery.sender import Sender, encode
from sandbox.settings import Settings

A = "0242078689-00001"
MESSAGE = {"accountName": A, "type": "upgradeProgress", "username": "x", "password": "y"}
# Short where a test is about it; long where a busy machine must not cause it.
SETTINGS = Settings(retry_after_min_s=0.01, retry_after_max_s=0.03, duplicate_after_s=30)


class RecordingSender:
    """A sender, and what it sent: (url, body)."""

    def __init__(self, answer: Callable[[int], int], settings: Settings = SETTINGS) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.asked: list[tuple[float, float]] = []
        self.answer = answer
        self.registrations = Registrations(clock=time.time)
        self.deliveries = Deliveries(clock=time.time)
        self.sender = Sender(
            settings,
            self.registrations,
            self.deliveries,
            clock=time.time,
            uniform=self.uniform,
            post=self.post,
        )

    def uniform(self, low: float, high: float) -> float:
        self.asked.append((low, high))
        return high

    def post(self, url: str, body: bytes) -> int:
        self.sent.append((url, body))
        return self.answer(len(self.sent))

    def outcome(self) -> tuple[str, list[str]]:
        (delivery,) = self.deliveries.listing()
        return delivery["result"], [attempt["kind"] for attempt in delivery["attempts"]]


def test_v1_puts_the_registered_login_into_the_body_and_leaves_the_rest_alone() -> None:
    recording = RecordingSender(lambda _: 200)
    recording.registrations.put("v1", A, Registration("https://h/x", Login("u", "p")), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    ((url, body),) = recording.sent
    assert url == "https://h/x"
    assert json.loads(body) == {**MESSAGE, "username": "u", "password": "p"}
    assert recording.outcome() == ("acknowledged", ["first"])


def test_v1_without_a_registered_login_sends_its_elements_empty() -> None:
    assert json.loads(encode(MESSAGE, Login())) == {**MESSAGE, "username": "", "password": ""}


def test_v2_and_whoever_asks_for_it_get_the_message_as_given() -> None:
    recording = RecordingSender(lambda _: 200)
    recording.registrations.put("v1", A, Registration("https://h/1", Login("u", "p")), "POST")
    recording.registrations.put("v2", A, Registration("https://h/2"), "POST")
    recording.sender.send(MESSAGE, A, version="v2", wait=True)
    recording.sender.send(MESSAGE, A, as_given=True, wait=True)
    assert [(url, json.loads(body)) for url, body in recording.sent] == [
        ("https://h/2", MESSAGE),
        ("https://h/1", MESSAGE),
    ]


def test_text_is_sent_as_utf_8() -> None:
    assert encode({"make": "Zoë"}, None) == '{"make": "Zoë"}'.encode()


def test_a_login_in_the_url_is_not_sent_along() -> None:
    recording = RecordingSender(lambda _: 200)
    recording.registrations.put("v1", A, Registration("https://u:p@h/x"), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.sent[0][0] == "https://h/x"


def test_without_a_registration_nothing_is_sent() -> None:
    recording = RecordingSender(lambda _: 200)
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.sent == []
    assert recording.outcome() == ("unregistered", [])


def test_a_refused_message_is_sent_once_more() -> None:
    recording = RecordingSender(lambda count: 503 if count == 1 else 200)
    recording.registrations.put("v1", A, Registration("https://h/x"), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.outcome() == ("acknowledged", ["first", "retry"])
    assert recording.asked == [(0.01, 0.03)]
    first, retry = recording.deliveries.listing()[0]["attempts"]
    assert retry["started"] - first["ended"] >= 0.03
    # The very same bytes.
    assert recording.sent[0] == recording.sent[1]


def test_a_message_that_is_refused_twice_is_lost() -> None:
    recording = RecordingSender(lambda _: 403)
    recording.registrations.put("v1", A, Registration("https://h/x"), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.outcome() == ("lost", ["first", "retry"])


def test_an_error_counts_as_a_refusal_and_is_named_without_its_text() -> None:
    def fail(_: int) -> int:
        raise requests.ConnectionError("https://h/x?token=hidden")

    recording = RecordingSender(fail)
    recording.registrations.put("v1", A, Registration("https://h/x"), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.outcome() == ("lost", ["first", "retry"])
    assert recording.deliveries.listing()[0]["attempts"][0]["error"] == "ConnectionError"


def test_an_unanswered_message_is_sent_again_while_the_first_is_still_being_handled() -> None:
    second_came = threading.Event()

    def answer(count: int) -> int:
        if count == 1:
            # The first answer waits for the second sending: only concurrent ones can succeed.
            assert second_came.wait(10)
        second_came.set()
        return 200

    recording = RecordingSender(answer, Settings(duplicate_after_s=0.05))
    recording.registrations.put("v1", A, Registration("https://h/x"), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.outcome() == ("acknowledged", ["first", "duplicate"])
    first, duplicate = recording.deliveries.listing()[0]["attempts"]
    assert duplicate["started"] - first["started"] >= 0.05
    assert first["ended"] >= duplicate["started"]


def test_an_answer_just_in_time_prevents_the_duplicate() -> None:
    recording = RecordingSender(lambda _: 200)
    recording.registrations.put("v1", A, Registration("https://h/x"), "POST")
    recording.sender.send(MESSAGE, A, wait=True)
    assert recording.outcome() == ("acknowledged", ["first"])


def test_sending_without_waiting_returns_at_once() -> None:
    release = threading.Event()

    def answer(_: int) -> int:
        assert release.wait(10)
        return 200

    recording = RecordingSender(answer)
    recording.registrations.put("v1", A, Registration("https://h/x"), "POST")
    recording.sender.send(MESSAGE, A)
    assert recording.outcome()[0] == "pending"
    release.set()
    deadline = time.monotonic() + 10
    while recording.outcome()[0] == "pending" and time.monotonic() < deadline:
        time.sleep(0.005)
    assert recording.outcome() == ("acknowledged", ["first"])
