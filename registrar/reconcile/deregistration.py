"""Deregisters what is ours, several slots at a time, and verifies that it is gone."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import structlog

from listener.registration_state import Observation
from registrar.coordination.coordination import Coordination
from registrar.errors import AuthExpiredError, RegistrarError, RejectedError, UnavailableError
from registrar.fan_out import fan_out
from registrar.metrics import Metrics
from registrar.model import Registration, Slot
from registrar.plan import Action, DeregistrationContext, plan_deregistration
from registrar.public_url.probe import Answerer
from registrar.reconcile.answer_cache import AnswerCache, Answerers
from registrar.reconcile.observer import Observer
from registrar.reconcile.recorder import ObservationRecorder
from registrar.settings import Deregister, RegistrarSettings
from registrar.thingspace.client import MAX_ATTEMPTS, CallbackClient, is_retryable
from registrar.turn import Turn

log = structlog.get_logger("registrar")

# Calls to ThingSpace at once: twenty accounts at half a second a call are through in a quarter of the time limit.
CONCURRENT_SLOTS = 8
# Before another attempt at a DELETE, if the provider asks for no longer pause.
RETRY_S = 0.5


def _unanswered(_url: str) -> Collection[Answerer]:
    return ()


def _nothing_replaced(_slot: Slot) -> None:
    return None


@dataclass(frozen=True)
class DeregisterResult:
    """What was registered before, what was done about it, and what is registered after."""

    before: Registration | None
    action: Action
    after: Registration | None


class Deregistrar:
    """Deregisters what is ours, verifies that it is gone, and logs what it did.

    Args:
        settings: checked ones.
        client: of the callback API.
        coordination: what replicas share.
        answerers: asks a URL which deployments serve it.
        replaced: returns what this process replaced in a slot, written by somebody outside the namespace.
    """

    def __init__(
        self,
        settings: RegistrarSettings,
        client: CallbackClient,
        coordination: Coordination,
        answerers: Answerers = _unanswered,
        replaced: Callable[[Slot], Registration | None] = _nothing_replaced,
    ) -> None:
        self._settings = settings
        self._client = client
        self._answerers = answerers
        self._replaced = replaced
        self._observer = Observer.build(settings, coordination.lease.identity.name)
        self._recorder = ObservationRecorder(coordination.state, Metrics())

    def deregister_all(self, turn: Turn, *, members: int, policy: Deregister) -> list[Observation]:
        """Deregisters every slot that is ours, several at a time, each by itself.

        Args:
            turn: asked before every request; what is not done when its time is over is logged and left.
            members: how many members remain.
            policy: `REGISTRAR_DEREGISTER`; `always`, also by hand, spares no URL that others serve.
        """
        cache = AnswerCache(self._answerers)

        def deregister(slot: Slot) -> Observation:
            context = DeregistrationContext()
            if policy != "always":
                context = DeregistrationContext(cache.is_served_by_others, self._replaced(slot))
            observation = self._deregister(slot, turn, context)
            return self._recorder.after_deregistration(observation, turn, members=members)

        slots = self._settings.slots
        done = fan_out(deregister, slots, turn.sleep, at_once=CONCURRENT_SLOTS)
        for slot in slots:
            if slot not in done:
                log.error(
                    "not deregistered", account=slot.account, version=slot.version, reason="no-time"
                )
        return [done[slot] for slot in slots if slot in done]

    def _deregister(self, slot: Slot, turn: Turn, context: DeregistrationContext) -> Observation:
        desired = self._settings.desired(slot)
        try:
            result = self._deregister_verified(slot, turn, context)
        except RegistrarError as error:
            return self._observer.after_failure(slot, desired, error)
        return self._observer.after_deregistration(
            slot, desired, result.before, result.after, result.action
        )

    def _deregister_verified(
        self, slot: Slot, turn: Turn, context: DeregistrationContext, attempts: int = MAX_ATTEMPTS
    ) -> DeregisterResult:
        """Deregisters or gives back, if the plan says so.

        A DELETE that failed may have been carried out, and somebody else may have registered since: so
        each further attempt queries and plans anew. The same holds if the provider refuses what is given back.
        """
        before = self._client.query(slot, turn)
        action = plan_deregistration(self._settings.desired(slot), before, context)
        if action.kind == "register" and context.replaced:
            try:
                self._client.register(slot, context.replaced, turn)
            except (RejectedError, AuthExpiredError) as error:
                log.warning("not given back", account=slot.account, why=error.reason)
                without = replace(context, replaced=None)
                return self._deregister_verified(slot, turn, without, attempts)
        elif action.kind == "deregister":
            try:
                self._client.deregister(slot, turn)
            except UnavailableError as error:
                pause_s = error.retry_after_s or RETRY_S
                if attempts == 1 or not is_retryable(error) or turn.sleep(pause_s):
                    raise
                again = self._deregister_verified(slot, turn, context, attempts - 1)
                # Nothing is there any more: the attempt was carried out after all.
                return again if again.before else DeregisterResult(before, action, None)
        else:
            return DeregisterResult(before, action, before)
        return DeregisterResult(before, action, self._client.query(slot, turn))
