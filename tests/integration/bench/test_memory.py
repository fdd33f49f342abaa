"""bench/run memory, in the small: what docs/scaling.md promises of a message's memory holds on each server."""

import pytest

from bench import memory

pytestmark = pytest.mark.redis_flavour


def test_a_message_takes_at_most_740_bytes_of_redis() -> None:
    lines: list[str] = []
    [small, large] = memory.run((10_000, 20_000), lines.append)
    assert 600 < small["bytes"] <= memory.MAX_BYTES, lines
    assert 600 < large["bytes"] <= small["bytes"], lines
