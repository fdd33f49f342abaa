"""Records what was observed: completes an observation, stores it in Redis, logs and counts it."""

from dataclasses import replace

import redis
import structlog

from listener.registration_state import Observation
from registrar.coordination.state import SharedState
from registrar.metrics import Metrics
from registrar.reconcile.observation_log import log_deregistration, log_observation
from registrar.reconcile.observer import with_history
from registrar.turn import Turn

log = structlog.get_logger("registrar")


class ObservationRecorder:
    """Remembers the last observation of each slot, for when Redis is away."""

    def __init__(self, state: SharedState, metrics: Metrics) -> None:
        self._state = state
        self._metrics = metrics
        self._last: dict[str, Observation] = {}

    def after_tick(
        self, observation: Observation, turn: Turn, *, superseded: bool, recent_takeovers: int
    ) -> Observation:
        """Records what a tick observed; returns it with its history.

        A superseded deployment stores nothing: its "not ours" would hide from the page, the alerts and
        `status --stored` that the newer deployment is registered (docs/adr/0018).
        """
        observation = replace(observation, fence=turn.fencing_token)
        last = before = self._last.get(observation.key)
        try:
            before = self._state.observation(observation.key) if turn.is_fenced else before
            observation = with_history(observation, before, recent_takeovers=recent_takeovers)
            if turn.is_fenced and not superseded:
                self._state.store_observation(observation)
        except redis.RedisError as error:
            _log_not_stored(error)
        log_observation(observation, last)
        self._metrics.reconciled(observation, before)
        self._last[observation.key] = observation
        return observation

    def after_deregistration(
        self, observation: Observation, turn: Turn, *, members: int
    ) -> Observation:
        """Records what a shutdown observed, with that many members left.

        A registration that stays as it is remains to the others: the members observe it themselves, and a newer
        deployment observes it as its own.
        """
        log_deregistration(observation)
        if not turn.is_fenced or (members and observation.result != "deregistered"):
            return observation
        observation = replace(observation, fence=turn.fencing_token, contender=None)
        try:
            before = self._state.observation(observation.key)
            observation = with_history(observation, before, recent_takeovers=0)
            self._state.store_observation(observation)
        except redis.RedisError as error:
            _log_not_stored(error)
        return observation


def _log_not_stored(error: redis.RedisError) -> None:
    log.warning("observation not stored", why=type(error).__name__)
