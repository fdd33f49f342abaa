"""What an operator does by hand, also while `run` runs: register, deregister, look."""

from contextlib import ExitStack

import redis
import structlog

from registrar.coordination.shared import Shared, observer_of
from registrar.errors import RegistrarError, failure_of
from registrar.model import Slot
from registrar.observation import Observation, Observer
from registrar.plan import Action, matches
from registrar.reconcile.deregistration import Remover
from registrar.reconcile.reconciler import CommonFailure, Reconciler
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import Client
from registrar.turn import UNRESTRICTED

log = structlog.get_logger("registrar")


def register(settings: RegistrarSettings, client: Client, shared: Shared) -> list[Observation]:
    """Registers every slot, whoever holds it now, because a person says so.

    Raises:
        NotExclusiveError: another process was at work all the time.
    """
    reconciler = Reconciler(settings, client, shared)
    with reconciler.exclusively(UNRESTRICTED) as turn:
        outcomes = reconciler.tick(turn, force=True)
    return [outcome.observation for outcome in outcomes]


def deregister(settings: RegistrarSettings, client: Client, shared: Shared) -> list[Observation]:
    """Removes every registration that is ours, whoever else is a member.

    Without Redis too, but then without the mutex: here it is a person who knows who else is there.

    Raises:
        NotExclusiveError: another process was at work all the time.
    """
    turn = UNRESTRICTED
    with ExitStack() as stack:
        try:
            held = shared.mutex.hold(turn, timeout_s=settings.lease_ttl_s)
            turn = turn.under(stack.enter_context(held))
        except redis.RedisError as error:
            log.warning("without redis", does="goes on alone", why=type(error).__name__)
        remover = Remover(settings, client, shared)
        return remover.remove_all(turn, members=0, policy="always")


def look(settings: RegistrarSettings, client: Client, shared: Shared) -> list[Observation]:
    """Asks ThingSpace about every slot, and changes nothing."""
    observer = observer_of(settings, shared)
    common = CommonFailure(failure_of(client.tokens.current))
    return [_look_at(slot, settings, client, observer, common) for slot in settings.slots]


def _look_at(
    slot: Slot,
    settings: RegistrarSettings,
    client: Client,
    observer: Observer,
    common: CommonFailure,
) -> Observation:
    desired = settings.desired(slot)
    try:
        if common.error:
            raise common.error
        found = client.query(slot)
    except RegistrarError as error:
        common.note(error)
        return observer.failed(slot, desired, error)
    common.note(None)
    if found is None:
        action = Action("yield", "absent")
    elif matches(desired.registration, found):
        action = Action("nothing", "as-desired")
    else:
        action = Action("yield", "not-as-desired")
    return observer.saw(slot, desired, found, found, action, fights=0)
