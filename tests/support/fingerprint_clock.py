"""enqueue.lua under a clock of its own, beside that of release 0.1, for the integration tests."""

import hashlib
import itertools
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from listener.queue.keys import ARRIVALS_TTL_S, Partition, fingerprint_field

WHERE = Partition("fota", 0)
OLD_SCRIPT = Path(__file__).parents[1] / "data" / "scripts" / "enqueue-0.1.lua"
# What Redis's clock decides in the script: the time, and the ids. TIME has seconds and microseconds.
READS = (
    (
        "redis.pcall('TIME')",
        "{redis.call('GET', KEYS[2] .. ':s'), redis.call('GET', KEYS[2] .. ':us')}",
    ),
    (
        "'*', unpack",
        "redis.call('GET', KEYS[2] .. ':ms') .. '-' .. redis.call('INCR', KEYS[2] .. ':seq'), unpack",
    ),
)


class ScriptClock(Protocol):
    """What the script takes for the time."""

    now_ms: int

    def patch(self, script: str) -> str:
        """The script with another source of the time."""


class ClockedWriter:
    """A process that adds messages, as of a time that the test gives.

    Args:
        client: of the server.
        window_s: DEDUPE_WINDOW_S.
        clock: None: Redis's own.
        with_strings: fingerprints are string keys as well.
    """

    def __init__(
        self,
        client: Any,
        window_s: int,
        *,
        clock: "ScriptClock | None" = None,
        with_strings: bool = False,
    ) -> None:
        self._client = client
        self._window_s = window_s
        self._clock = clock
        self._with_strings = with_strings
        text = files("listener.queue").joinpath("scripts", "enqueue.lua").read_text()
        self._script = clock.patch(text) if clock else text

    def add(self, *ids: str, entry_id: str = "") -> list[bool]:
        """Adds messages, or restores their fingerprints; which of them were known."""
        now_ms = self._clock.now_ms if self._clock else 0
        keys = [WHERE.messages, WHERE.arrival_counts(0)]
        args: list[Any] = [self._window_s, 0, ARRIVALS_TTL_S, now_ms, 1 + self._with_strings]
        for each in ids:
            fields = [entry_id] if entry_id else ["id", each]
            keys.append(WHERE.fingerprint_hash(each))
            if self._with_strings:
                keys.append(WHERE.fingerprint_string(each))
            args += ["new", fingerprint_field(each), len(fields), *fields]
        reply = self._client.eval(self._script, len(keys), *keys, *args)
        return [known == 1 for known in reply[1::2]]


class OldWriter:
    """A process of release 0.1."""

    def __init__(self, client: Any, window_s: int) -> None:
        self._client = client
        self._window_s = window_s
        self._script = OLD_SCRIPT.read_text()

    def add(self, *ids: str) -> list[bool]:
        """Adds messages; which of them were known."""
        keys = [WHERE.messages, WHERE.arrival_counts(0), *map(WHERE.fingerprint_string, ids)]
        args = itertools.chain.from_iterable(("new", 2, "id", each) for each in ids)
        reply = self._client.eval(
            self._script, len(keys), *keys, self._window_s, 0, ARRIVALS_TTL_S, *args
        )
        return [known == 1 for known in reply[1::2]]


class Clock:
    """What the server of a ClockedWriter takes for the time; hashes go when it says so."""

    def __init__(self, client: Any, now_ms: int) -> None:
        self._client = client
        self.set(now_ms)

    def set(self, now_ms: int) -> None:
        self.now_ms = now_ms
        key = WHERE.arrival_counts(0)
        seconds, ms = divmod(now_ms, 1000)
        last: Sequence[Any] = self._client.xrevrange(WHERE.messages, count=1)
        last_ms = int(last[0][0].partition(b"-")[0]) if last else 0
        # As Redis does, whose ids never go back.
        ids_ms = max(now_ms, last_ms)
        for name, value in (("s", seconds), ("us", ms * 1000), ("ms", ids_ms)):
            self._client.set(f"{key}:{name}", value)
        for key in self._client.scan_iter("{fota:0}:seen:[0-9]*", _type="hash"):
            if int(self._client.hget(key, "")) <= now_ms:
                self._client.delete(key)

    def advance(self, ms: int) -> None:
        self.set(self.now_ms + ms)

    @staticmethod
    def patch(script: str) -> str:
        for found, replacement in READS:
            assert found in script
            script = script.replace(found, replacement)
        return script


def message_id(number: int) -> str:
    """An id that falls into any hash."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]
