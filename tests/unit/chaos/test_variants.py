"""The variants of one message that `bin/chaos` sends: the service must recognise them as one message."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from bench.chaos.variants import ODD, Variant, choose, without_counters
from listener.messages.message import Message
from listener.messages.payload import parse

MESSAGE = {"type": "new", "mark": "m-1", "note": "Zürich\nBern", "n": [1, {"a": None}]}
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def received(variant: Variant) -> Message:
    payload = parse(variant.body, variant.content_type)
    return Message.from_payload(payload, arrived=NOW, request_id="r")


@pytest.mark.parametrize("odd", ODD)
def test_odd_variant_is_the_same_message_in_other_bytes(odd: Any) -> None:
    plain, variant = choose(MESSAGE, 1, NeverOdd()), odd(MESSAGE, 2)
    assert variant.body != plain.body
    kept = received(variant)
    assert kept.id == received(plain).id
    assert without_counters(parse(kept.data)) == MESSAGE


def test_most_attempts_use_the_plain_variant_and_each_odd_variant_occurs() -> None:
    rng = Random(1)
    bodies = [choose(MESSAGE, 1, rng).body for _ in range(500)]
    plain = choose(MESSAGE, 1, NeverOdd()).body
    assert len(set(bodies)) == len(ODD) + 1
    assert 300 < bodies.count(plain) < 450


class NeverOdd(Random):
    """Chooses the plain variant."""

    def randrange(self, *_: Any) -> int:
        return 1
