"""One tick: query, plan, write if need be, verify and observe, for each account and version by itself."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import redis
import structlog

from listener.registration_state import Observation
from registrar.coordination.coordination import Coordination
from registrar.coordination.state import Takeovers
from registrar.errors import (
    NotExclusiveError,
    RegistrarError,
    RejectedError,
    StoppingError,
    UnavailableError,
    failure_of,
)
from registrar.metrics import Metrics
from registrar.model import Desired, Registration, Slot
from registrar.plan import Action, PlanContext, plan
from registrar.reconcile.common_failure import CommonFailure
from registrar.reconcile.exclusive_turns import ExclusiveTurns
from registrar.reconcile.observer import Observer
from registrar.reconcile.recorder import ObservationRecorder
from registrar.reconcile.verification import WriteBackoff
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import CallbackClient
from registrar.turn import Turn

log = structlog.get_logger("registrar")


@dataclass(frozen=True)
class SlotResult:
    """The result of one slot in a tick."""

    observation: Observation
    error: RegistrarError | None = None


@dataclass(frozen=True)
class TickContext:
    """What all slots of one tick have in common.

    Attributes:
        turn: asked before every request; unfenced without Redis.
        login_error: why nothing can be sent; tried once for all slots, because a login may count.
        superseded: whether a deployment of the namespace that joined later is alive.
        force: take over whatever is registered.
    """

    turn: Turn
    login_error: RegistrarError | None
    superseded: bool
    force: bool


class Reconciler:
    """Makes registrations what they should be. One tick at a time.

    Guaranteed: a tick that finds all as desired writes nothing to ThingSpace. A write happens under
    the mutex, unless Redis cannot be reached: then it happens without, because a registration that
    is missing loses messages and one that is written twice does not.

    Args:
        settings: checked ones.
        client: of the callback API.
        coordination: what replicas share.
        clock: returns monotonic seconds.
        metrics: counts; nothing if there is none.
    """

    def __init__(
        self,
        settings: RegistrarSettings,
        client: CallbackClient,
        coordination: Coordination,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ) -> None:
        self._settings = settings
        self._coordination = coordination
        self._client = client
        self._observer = Observer.build(settings, coordination.lease.identity.name)
        self._recorder = ObservationRecorder(coordination.state, metrics or Metrics())
        self._reconciled_once: set[Slot] = set()
        self._failed: set[Slot] = set()
        self._exclusive_turns = ExclusiveTurns(
            coordination.mutex,
            timeout_s=settings.lease_ttl_s,
            without_redis="registers, never deregisters",
        )
        self._replaced: dict[Slot, Registration | None] = {}
        self._write_backoff = WriteBackoff(clock)
        self._takeovers = Takeovers(
            coordination.state,
            coordination.lease.identity.deployment,
            window_s=settings.flap_window_s,
            clock=clock,
        )

    def exclusively(self, turn: Turn) -> AbstractContextManager[Turn]:
        """The turn under the mutex; unfenced without Redis. Raises NotExclusiveError if the mutex stays busy."""
        return self._exclusive_turns.begin(turn)

    def tick(self, turn: Turn, *, force: bool = False) -> list[SlotResult]:
        """Reconciles every slot.

        Args:
            turn: of `exclusively`; its checks may raise StoppingError, or at first PausedError, to end the tick.
            force: take over whatever is registered, because a person says so.

        Raises:
            NotExclusiveError: Redis was lost before the first request.
            StoppingError, PausedError: the turn says so.
        """
        turn.check()
        login_error = failure_of(lambda: self._client.authenticator.tokens(turn))
        superseded = self._is_superseded(turn)
        results = self._reconcile_all(TickContext(turn, login_error, superseded, force))
        self._begin_or_end_pause(results)
        return results

    def replaced(self, slot: Slot) -> Registration | None:
        """What this process replaced in a slot last, written by somebody outside the namespace."""
        return self._replaced.get(slot)

    def _reconcile_all(self, context: TickContext) -> list[SlotResult]:
        """Reconciles slot after slot; after a failure that concerns all of them the rest is not asked.

        Those that failed come last in the next tick, so that they do not stand in the others' way.
        """
        results: dict[Slot, SlotResult] = {}
        common = CommonFailure(context.login_error)
        for slot in sorted(self._settings.slots, key=self._failed.__contains__):
            asked = common.error is None
            results[slot] = self._reconcile(slot, replace(context, login_error=common.error))
            error = results[slot].error
            common.note(error)
            if asked and isinstance(error, UnavailableError):
                self._failed.add(slot)
            elif asked:
                self._failed.discard(slot)
        return [results[slot] for slot in self._settings.slots]

    def _begin_or_end_pause(self, results: Sequence[SlotResult]) -> None:
        """Keeps away from a provider that throttles or fails, and so do the other replicas."""
        errors = [one.error for one in results if isinstance(one.error, UnavailableError)]
        if errors:
            self._coordination.pauses.begin(*errors)
        else:
            self._coordination.pauses.end()

    def _reconcile(self, slot: Slot, context: TickContext) -> SlotResult:
        """One slot, whose failure must not keep the others from being reconciled. Raises StoppingError."""
        desired = self._settings.desired(slot)
        recent_takeovers = 0
        error: RegistrarError | None = None
        try:
            observation, recent_takeovers = self._apply_plan(slot, desired, context)
            self._reconciled_once.add(slot)
        except StoppingError:
            raise
        except RegistrarError as failure:
            error = failure
        except redis.RedisError as failure:
            error = NotExclusiveError("redis-lost", _name(failure))
        except Exception as failure:
            # A mistake of ours, logged in full.
            log.exception("slot not reconciled", account=slot.account, version=slot.version)
            error = RejectedError("mistake", _name(failure))
        if error:
            observation = self._observer.after_failure(slot, desired, error)
        age_s = self._client.authenticator.token_age_s()
        observation = self._recorder.after_tick(
            replace(
                observation,
                token_age_s=age_s and round(age_s, 1),
                interval_s=self._settings.interval_s,
            ),
            context.turn,
            superseded=context.superseded,
            recent_takeovers=recent_takeovers,
        )
        return SlotResult(observation, error)

    def _apply_plan(
        self, slot: Slot, desired: Desired, context: TickContext
    ) -> tuple[Observation, int]:
        """Returns the observation, and how often this deployment took over lately."""
        if context.login_error:
            raise context.login_error
        before = self._client.query(slot, context.turn)
        plan_context = self._plan_context(slot, before, context)
        action = plan(desired, before, plan_context)
        if context.force and action.kind == "yield":
            action = Action("register", "by-hand")
        elif action.kind == "register":
            self._write_backoff.check(slot, before)
        after = before
        if action.kind == "register":
            after = self._register(slot, desired.registration, context.turn)
        if action.from_outsider:
            self._replaced[slot] = before
            self._takeovers.add(slot, context.turn)
        recent = plan_context.takeovers + action.from_outsider
        observation = self._observer.after_tick(
            slot, desired, before, after, action, recent_takeovers=recent
        )
        return observation, recent

    def _register(self, slot: Slot, wanted: Registration, turn: Turn) -> Registration | None:
        """Registers and verifies; returns what is registered then."""
        self._client.register(slot, wanted, turn)
        after = self._client.query(slot, turn)
        self._write_backoff.verify(slot, wanted, after)
        return after

    def _is_superseded(self, turn: Turn) -> bool:
        if not turn.is_fenced:
            return False
        try:
            members = self._coordination.members()
        except redis.RedisError as error:
            raise NotExclusiveError("redis-lost", _name(error)) from error
        return members.is_superseded(self._coordination.lease.identity.deployment)

    def _plan_context(
        self, slot: Slot, before: Registration | None, context: TickContext
    ) -> PlanContext:
        state = self._coordination.state
        known = context.turn.is_fenced and before is not None and state.is_known_url(before.url)
        return PlanContext(
            self._settings.takeover,
            boot=slot not in self._reconciled_once,
            superseded=context.superseded,
            sibling=known,
            takeovers=self._takeovers.count(slot, context.turn),
        )


def _name(error: Exception) -> str:
    return type(error).__name__
