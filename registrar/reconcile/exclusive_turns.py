"""Acquires the replicas' mutex for one turn; without Redis, that turn is unprotected."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import redis
import structlog

from registrar.coordination.mutex import Mutex
from registrar.turn import Turn

log = structlog.get_logger("registrar")


class ExclusiveTurns:
    """Begins turns under the mutex.

    Args:
        mutex: of all replicas.
        timeout_s: how long to wait for it.
        without_redis: what is done without Redis, for the log.
    """

    def __init__(self, mutex: Mutex, *, timeout_s: float, without_redis: str) -> None:
        self._mutex = mutex
        self._timeout_s = timeout_s
        self._does = without_redis
        self._without_redis = False

    @contextmanager
    def begin(self, turn: Turn) -> Iterator[Turn]:
        """The turn under the mutex; the same turn, unfenced, without Redis, which is logged once for each outage.

        Raises:
            NotExclusiveError: another process held the mutex all the time.
        """
        with ExitStack() as stack:
            try:
                held = self._mutex.hold(turn, timeout_s=self._timeout_s)
                turn = turn.under(stack.enter_context(held))
            except redis.RedisError as error:
                if not self._without_redis:
                    log.warning("without redis", does=self._does, why=type(error).__name__)
            self._without_redis = not turn.is_fenced
            yield turn
