"""How often this deployment took a registration over from strangers: two who both insist must stop."""

from collections.abc import Callable

from registrar.coordination.state import Store
from registrar.model import Slot
from registrar.turn import Turn


class Takeovers:
    """Counted in Redis for all replicas of a deployment; without it, by each process for itself."""

    def __init__(
        self, store: Store, deployment: str, *, window_s: float, clock: Callable[[], float]
    ) -> None:
        """Takes for how long one counts, in seconds, and a clock of monotonic seconds."""
        self._store = store
        self._deployment = deployment
        self._window_s = window_s
        self._clock = clock
        self._own: dict[Slot, list[float]] = {}

    def count(self, slot: Slot, turn: Turn) -> int:
        """How many there were within the window. Raises redis.RedisError."""
        if turn.is_fenced:
            return self._store.takeovers(slot, self._deployment)
        horizon = self._clock() - self._window_s
        return sum(at > horizon for at in self._own.get(slot, []))

    def note(self, slot: Slot, turn: Turn) -> None:
        """Counts one that was confirmed, so that an outage does not look like a fight. Raises as `count`."""
        horizon = self._clock() - self._window_s
        recent = [at for at in self._own.get(slot, []) if at > horizon]
        self._own[slot] = [*recent, self._clock()]
        if turn.is_fenced:
            self._store.note_takeover(slot, self._deployment, fence=turn.fencing_token)
