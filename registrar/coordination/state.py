"""What the replicas of a namespace tell each other in Redis, besides leases and the mutex."""

import secrets
from collections.abc import Callable, Sequence

import redis

from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script
from registrar.model import Slot, canonical
from registrar.observation import Observation


class Store:
    """Observations, the family's URLs, and takeovers. Every method raises redis.RedisError.

    Args:
        client: of Redis.
        keys: of the namespace.
        digest: turns a URL into what may stand in a key.
        window_s: for how long a takeover counts, in seconds.
    """

    def __init__(
        self,
        client: "redis.Redis",
        keys: Keys,
        *,
        digest: Callable[[str], str],
        window_s: float,
    ) -> None:
        """Connects to nothing yet."""
        self._redis = client
        self._keys = keys
        self._digest = digest
        self._window_ms = round(window_s * 1000)
        self._observe = script(client, "observe")
        self._now = script(client, "now")

    def queue_id(self) -> str:
        """The name of this namespace in this Redis: 32 hexadecimal digits, made by whoever asks first."""
        self._redis.set(self._keys.queue_id, secrets.token_hex(16), nx=True)
        name = self._redis.get(self._keys.queue_id)
        return name.decode() if isinstance(name, bytes) else str(name)

    def is_family(self, url: str) -> bool:
        """Whether a deployment of this namespace has, or had, this URL."""
        return any(
            self._redis.zscore(self._keys.family, self._digest(form)) is not None
            for form in dict.fromkeys((canonical(url), url))
        )

    def takeovers(self, slot: Slot, deployment: str) -> int:
        """How often a deployment replaced strangers within the window."""
        key = self._keys.takeovers(slot, deployment)
        return int(self._redis.zcount(key, self._now_ms() - self._window_ms, "+inf"))

    def note_takeover(self, slot: Slot, deployment: str, *, fence: int) -> None:
        """Counts one; the fencing token tells it from another in the same millisecond."""
        key = self._keys.takeovers(slot, deployment)
        now = self._now_ms()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(key, "-inf", now - self._window_ms)
            pipe.zadd(key, {str(fence): now})
            pipe.pexpire(key, self._window_ms)
            pipe.execute()

    def observe(self, observation: Observation) -> None:
        """Stores an observation, unless a later holder of the mutex has stored one."""
        self._observe(
            keys=[self._keys.observations, self._keys.observed],
            args=[observation.fence, str(observation.slot), observation.to_json()],
        )

    def observation(self, slot: Slot) -> Observation | None:
        """What was seen last."""
        text = self._redis.hget(self._keys.observations, str(slot))
        return Observation.from_json(text) if text else None

    def observations(self, slots: Sequence[Slot]) -> list[Observation | None]:
        """What was seen last of each slot, read in one command: one wait, however many accounts there are."""
        if not slots:
            return []
        texts = self._redis.hmget(self._keys.observations, [str(slot) for slot in slots])
        return [Observation.from_json(text) if text else None for text in texts]

    def _now_ms(self) -> int:
        seconds, micros = self._now(keys=[self._keys.observations])
        return int(seconds) * 1000 + int(micros) // 1000
