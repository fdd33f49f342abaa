"""The forms of one message that `bin/chaos` sends: the service must take them for the same one."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from bench.chaos.forms import ODD, Form, choose, without_counters
from listener.messages.message import Message
from listener.messages.payload import parse

MESSAGE = {"type": "new", "mark": "m-1", "note": "Zürich\nBern", "n": [1, {"a": None}]}
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def received(form: Form) -> Message:
    payload = parse(form.body, form.content_type)
    return Message.from_payload(payload, arrived=NOW, request_id="r")


@pytest.mark.parametrize("odd", ODD)
def test_odd_form_is_the_same_message_in_other_bytes(odd: Any) -> None:
    plain, form = choose(MESSAGE, 1, NeverOdd()), odd(MESSAGE, 2)
    assert form.body != plain.body
    kept = received(form)
    assert kept.id == received(plain).id
    assert without_counters(parse(kept.data)) == MESSAGE


def test_most_attempts_have_the_plain_form_and_each_odd_one_comes() -> None:
    chance = Random(1)
    bodies = [choose(MESSAGE, 1, chance).body for _ in range(500)]
    plain = choose(MESSAGE, 1, NeverOdd()).body
    assert len(set(bodies)) == len(ODD) + 1
    assert 300 < bodies.count(plain) < 450


class NeverOdd(Random):
    """Chooses the plain form."""

    def randrange(self, *_: Any) -> int:
        return 1
