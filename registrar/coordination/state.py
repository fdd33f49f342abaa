"""Replicas' shared state in Redis: observations (listener.registration_state), URLs, takeovers."""

import secrets
from collections.abc import Callable, Sequence

import redis

from listener.registration_state import Observation
from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script
from registrar.model import Slot, canonical
from registrar.turn import Turn


class SharedState:
    """Observations, the URLs of the namespace's deployments, and takeovers. Every method raises redis.RedisError.

    Args:
        client: of Redis.
        keys: of the namespace.
        digest: turns a URL into what may stand in a key.
        window_s: for how long a takeover counts, in seconds.
    """

    def __init__(
        self, client: "redis.Redis", keys: Keys, *, digest: Callable[[str], str], window_s: float
    ) -> None:
        self._redis = client
        self._keys = keys
        self._digest = digest
        self._window_ms = round(window_s * 1000)
        self._store = script(client, "store_observation")
        self._now = script(client, "now")

    def queue_id(self) -> str:
        """The name of this namespace in this Redis: 32 hexadecimal digits, made at the first call of any process."""
        self._redis.set(self._keys.queue_id, secrets.token_hex(16), nx=True)
        name = self._redis.get(self._keys.queue_id)
        return name.decode() if isinstance(name, bytes) else str(name)

    def is_known_url(self, url: str) -> bool:
        """Whether a deployment of this namespace has, or had, this URL."""
        return any(
            self._redis.zscore(self._keys.known_urls, self._digest(form)) is not None
            for form in dict.fromkeys((canonical(url), url))
        )

    def count_takeovers(self, slot: Slot, deployment: str) -> int:
        """How often a deployment replaced strangers within the window."""
        key = self._keys.takeovers(slot, deployment)
        return int(self._redis.zcount(key, self._now_ms() - self._window_ms, "+inf"))

    def add_takeover(self, slot: Slot, deployment: str, *, fencing_token: int) -> None:
        """Counts one; the fencing token distinguishes it from another in the same millisecond."""
        key = self._keys.takeovers(slot, deployment)
        now = self._now_ms()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(key, "-inf", now - self._window_ms)
            pipe.zadd(key, {str(fencing_token): now})
            pipe.pexpire(key, self._window_ms)
            pipe.execute()

    def store_observation(self, observation: Observation) -> bool:
        """Stores an observation; False: a later holder of the mutex has stored one already."""
        stored = self._store(
            keys=[self._keys.observations, self._keys.observed],
            args=[observation.fence, str(observation.key), observation.to_json()],
        )
        return bool(stored)

    def observation(self, slot: Slot | str) -> Observation | None:
        """The last observation of a slot, or of `<account>/<version>`."""
        return self.observations([slot])[0]

    def observations(self, slots: Sequence[Slot | str]) -> list[Observation | None]:
        """The last observation of each slot, read in one command: one wait, however many accounts there are."""
        if not slots:
            return []
        keys = [str(slot) for slot in slots]
        texts = self._redis.hmget(self._keys.observations, keys)
        return [
            Observation.from_json(key, text) if text else None
            for key, text in zip(keys, texts, strict=True)
        ]

    def _now_ms(self) -> int:
        seconds, micros = self._now(keys=[self._keys.observations])
        return int(seconds) * 1000 + int(micros) // 1000


class Takeovers:
    """How often this deployment took over from strangers: two deployments that both insist must stop.

    Counted in Redis for all replicas of a deployment; without Redis, by each process for itself.

    Args:
        state: in Redis.
        deployment: this one.
        window_s: for how long a takeover counts, in seconds.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, state: SharedState, deployment: str, *, window_s: float, clock: Callable[[], float]
    ) -> None:
        self._state = state
        self._deployment = deployment
        self._window_s = window_s
        self._clock = clock
        self._own: dict[Slot, list[float]] = {}

    def count(self, slot: Slot, turn: Turn) -> int:
        """How many there were within the window. Raises redis.RedisError."""
        if turn.is_fenced:
            return self._state.count_takeovers(slot, self._deployment)
        return len(self._recent(slot))

    def add(self, slot: Slot, turn: Turn) -> None:
        """Counts one that was verified, so that an outage does not look like a fight. Raises as `count`."""
        self._own[slot] = [*self._recent(slot), self._clock()]
        if turn.is_fenced:
            self._state.add_takeover(slot, self._deployment, fencing_token=turn.fencing_token)

    def _recent(self, slot: Slot) -> list[float]:
        horizon = self._clock() - self._window_s
        return [at for at in self._own.get(slot, []) if at > horizon]
