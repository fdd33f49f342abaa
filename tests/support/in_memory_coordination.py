"""What coordination keeps in Redis, kept in memory, with a clock of the test's own: the double of a Redis server.

It knows the commands and the scripts of `registrar.coordination` and of the login breaker, and nothing else. The tests of
`coordination_contract.py` and `lifecycle_contract.py` run on it and on a real Redis.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script

Words = Sequence[str]


@dataclass
class FakeClock:
    """Seconds; time passes only by `advance`."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class InMemoryRedis:
    """The subset of a Redis server that coordination uses; `down` makes every command fail.

    Strings, hashes and sorted sets are kept as text, dict and dict with scores.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.down = False
        self._clock = clock
        self._values: dict[str, Any] = {}
        self._expires_ms: dict[str, float] = {}
        self._scripts = {_sha(name): function for name, function in SCRIPTS.items()}

    # Commands, as redis-py names them.

    def evalsha(self, sha: str, count: int, *words: object) -> Any:
        self.check()
        texts = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
        return self._scripts[sha](self, texts[:count], texts[count:])

    def set(self, key: str, value: str, *, nx: bool = False, px: float | None = None) -> None:
        self.check()
        if not (nx and self.read(key) is not None):
            self._values[key] = value
            self._expires_ms.pop(key, None)
            if px is not None:
                self.pexpire(key, px)

    def get(self, key: str) -> bytes | None:
        self.check()
        value = self.read(key)
        return None if value is None else str(value).encode()

    def delete(self, *keys: str) -> None:
        self.check()
        for key in keys:
            self._values.pop(key, None)
            self._expires_ms.pop(key, None)

    def flushall(self) -> None:
        self.delete(*self._values)

    def pexpire(self, key: str, milliseconds: float) -> None:
        self._expires_ms[key] = self.now_ms() + milliseconds

    def pttl(self, key: str) -> int:
        self.check()
        if self.read(key) is None:
            return -2
        return round(self._expires_ms[key] - self.now_ms()) if key in self._expires_ms else -1

    def hget(self, key: str, field: str) -> bytes | None:
        return self.hmget(key, [field])[0]

    def hmget(self, key: str, fields: Words) -> list[bytes | None]:
        self.check()
        content = self.read(key) or {}
        return [content[field].encode() if field in content else None for field in fields]

    def zscore(self, key: str, member: str) -> float | None:
        self.check()
        return (self.read(key) or {}).get(member)

    def zcount(self, key: str, lowest: float, _highest: str) -> int:
        self.check()
        return sum(score >= lowest for score in (self.read(key) or {}).values())

    @contextlib.contextmanager
    def pipeline(self, *, transaction: bool) -> Iterator["InMemoryRedis"]:
        assert not transaction
        self.check()
        yield self

    def zremrangebyscore(self, key: str, _lowest: str, highest: float) -> None:
        content = self.content(key)
        for member in [member for member, score in content.items() if score <= highest]:
            del content[member]

    def zadd(self, key: str, scores: dict[str, float]) -> None:
        self.content(key).update(scores)

    def execute(self) -> None:
        """A pipeline's commands are carried out at once."""

    def close(self) -> None:
        """There is no connection."""

    # For the scripts.

    def check(self) -> None:
        if self.down:
            raise redis.ConnectionError("down")

    def now_ms(self) -> float:
        return round(self._clock() * 1000)

    def read(self, key: str) -> Any:
        """The value of a key that has not expired, or None."""
        if self._expires_ms.get(key, float("inf")) <= self.now_ms():
            self._values.pop(key, None)
            self._expires_ms.pop(key, None)
        return self._values.get(key)

    def content(self, key: str) -> dict[str, Any]:
        """A hash or a sorted set, made if need be."""
        self.read(key)
        content: dict[str, Any] = self._values.setdefault(key, {})
        return content

    def increment(self, key: str) -> int:
        self._values[key] = int(self.read(key) or 0) + 1
        return int(self._values[key])


def _members(store: InMemoryRedis, keys: Words) -> list[list[bytes]]:
    """The live members, as the scripts return them; deletes those whose lease has expired."""
    leases, members = store.content(keys[0]), store.content(keys[1])
    for name in [name for name, until in leases.items() if until <= store.now_ms()]:
        del leases[name]
        members.pop(name, None)
    return [
        [
            name.encode(),
            str(round(until - store.now_ms())).encode(),
            members.get(name, "0 - -").encode(),
        ]
        for name, until in sorted(leases.items(), key=lambda item: (item[1], item[0]))
    ]


def _join(store: InMemoryRedis, keys: Words, args: Words) -> list[list[bytes]]:
    name, ttl_ms, age_ms, deployment, url, known_ms = args
    now = store.now_ms()
    _members(store, keys)
    store.content(keys[0])[name] = now + float(ttl_ms)
    joined = f"{now - float(age_ms):.0f}" if float(age_ms) >= 0 else "0"
    store.content(keys[1])[name] = f"{joined} {deployment} {url}"
    store.zadd(keys[2], {url: now})
    store.zremrangebyscore(keys[2], "-inf", now - float(known_ms))
    return _members(store, keys)


def _renew(store: InMemoryRedis, keys: Words, args: Words) -> list[list[bytes]]:
    name, ttl_ms, url = args
    _members(store, keys)
    if name not in store.content(keys[0]):
        return []
    store.content(keys[0])[name] = store.now_ms() + float(ttl_ms)
    store.zadd(keys[2], {url: store.now_ms()})
    return _members(store, keys)


def _leave(store: InMemoryRedis, keys: Words, args: Words) -> list[int]:
    was_member = store.content(keys[0]).pop(args[0], None) is not None
    store.content(keys[1]).pop(args[0], None)
    return [len(_members(store, keys)), int(was_member)]


def _list_members(store: InMemoryRedis, keys: Words, _args: Words) -> list[list[bytes]]:
    return _members(store, keys)


def _mutex_acquire(store: InMemoryRedis, keys: Words, args: Words) -> int:
    holder = store.read(keys[0])
    if holder is not None and holder.partition(" ")[2] != args[0]:
        return 0
    token = store.increment(keys[1])
    store.set(keys[0], f"{token} {args[0]}", px=float(args[1]))
    return token


def _mutex_renew(store: InMemoryRedis, keys: Words, args: Words) -> int:
    if store.read(keys[0]) != args[0]:
        return 0
    store.pexpire(keys[0], float(args[1]))
    return 1


def _mutex_release(store: InMemoryRedis, keys: Words, args: Words) -> int:
    if store.read(keys[0]) != args[0]:
        return 0
    store.delete(keys[0])
    return 1


def _compare_and_set(store: InMemoryRedis, keys: Words, args: Words) -> int:
    field, expected, new = args
    content = store.content(keys[0])
    if content.get(field, "") != expected:
        return 0
    content[field] = new
    return 1


def _store_observation(store: InMemoryRedis, keys: Words, args: Words) -> int:
    token, field, text = args
    if int(token) < int(store.read(keys[1]) or 0):
        return 0
    store.set(keys[1], token)
    store.content(keys[0])[field] = text
    return 1


def _now(store: InMemoryRedis, _keys: Words, _args: Words) -> tuple[int, int]:
    seconds, milliseconds = divmod(round(store.now_ms()), 1000)
    return seconds, milliseconds * 1000


def _pause(store: InMemoryRedis, keys: Words, args: Words) -> int:
    first, longest, asked, jitter = map(float, args)
    count = store.increment(keys[1])
    doubled = min(first * 2 ** min(count - 1, 30), longest) * jitter
    pause = max(int(doubled), asked, 1)
    store.pexpire(keys[1], pause + 2 * longest)
    if store.pttl(keys[0]) < pause:
        store.set(keys[0], str(count), px=pause)
    return store.pttl(keys[0])


Script = Callable[[InMemoryRedis, Words, Words], Any]
SCRIPTS: dict[str, Script] = {
    "join": _join,
    "renew": _renew,
    "leave": _leave,
    "list_members": _list_members,
    "mutex_acquire": _mutex_acquire,
    "mutex_renew": _mutex_renew,
    "mutex_release": _mutex_release,
    "compare_and_set": _compare_and_set,
    "store_observation": _store_observation,
    "now": _now,
    "pause": _pause,
}
WITH_MEMBERS = ("join", "renew", "leave", "list_members")


def _sha(name: str) -> str:
    prelude = "members" if name in WITH_MEMBERS else None
    nobody: Any = None
    return script(nobody, name, prelude=prelude).sha


def advance_redis(client: Any, keys: Keys, seconds: float) -> None:
    """Lets time pass for what a real Redis stores: every time of the namespace is moved into the past."""
    milliseconds = round(seconds * 1000)
    for key in client.scan_iter(match=f"{keys.mutex.rpartition(':')[0]}:*"):
        if (left := client.pttl(key)) >= 0:
            client.pexpire(key, max(left - milliseconds, 0))
        if client.type(key) == b"zset":
            for member in client.zrange(key, 0, -1):
                client.zincrby(key, -milliseconds, member)
    for name, stored in client.hgetall(keys.members).items():
        joined, _, rest = stored.partition(b" ")
        if int(joined):
            client.hset(keys.members, name, b"%d %b" % (int(joined) - milliseconds, rest))
