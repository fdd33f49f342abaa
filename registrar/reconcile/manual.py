"""What an operator does by hand, also while `run` runs: register, deregister, query."""

from listener.registration_state import Observation
from registrar.coordination.coordination import Coordination
from registrar.errors import RegistrarError, failure_of
from registrar.model import Slot
from registrar.plan import Action, matches
from registrar.reconcile.common_failure import CommonFailure
from registrar.reconcile.deregistration import Deregistrar
from registrar.reconcile.exclusive_turns import ExclusiveTurns
from registrar.reconcile.observer import Observer
from registrar.reconcile.reconciler import Reconciler
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import CallbackClient
from registrar.turn import UNRESTRICTED


def register(
    settings: RegistrarSettings, client: CallbackClient, coordination: Coordination
) -> list[Observation]:
    """Registers every slot, also in place of another owner's URL, because a person says so.

    Raises:
        NotExclusiveError: another process was at work all the time.
    """
    reconciler = Reconciler(settings, client, coordination)
    with reconciler.exclusively(UNRESTRICTED) as turn:
        results = reconciler.tick(turn, force=True)
    return [result.observation for result in results]


def deregister(
    settings: RegistrarSettings, client: CallbackClient, coordination: Coordination
) -> list[Observation]:
    """Deregisters every registration that is ours, whichever members remain.

    Without Redis too, but then without the mutex: here it is a person who knows who else is there.

    Raises:
        NotExclusiveError: another process was at work all the time.
    """
    turns = ExclusiveTurns(
        coordination.mutex, timeout_s=settings.lease_ttl_s, without_redis="goes on alone"
    )
    with turns.begin(UNRESTRICTED) as turn:
        deregistrar = Deregistrar(settings, client, coordination)
        return deregistrar.deregister_all(turn, members=0, policy="always")


def query(
    settings: RegistrarSettings, client: CallbackClient, coordination: Coordination
) -> list[Observation]:
    """Asks ThingSpace about every slot, and changes nothing."""
    observer = Observer.build(settings, coordination.lease.identity.name)
    common = CommonFailure(failure_of(client.authenticator.tokens))
    return [_query(slot, settings, client, observer, common) for slot in settings.slots]


def _query(
    slot: Slot,
    settings: RegistrarSettings,
    client: CallbackClient,
    observer: Observer,
    common: CommonFailure,
) -> Observation:
    desired = settings.desired(slot)
    try:
        if common.error:
            raise common.error
        actual = client.query(slot)
    except RegistrarError as error:
        common.note(error)
        return observer.after_failure(slot, desired, error)
    common.note(None)
    if actual is None:
        action = Action("yield", "absent")
    elif matches(desired.registration, actual):
        action = Action("nothing", "as-desired")
    else:
        action = Action("yield", "not-as-desired")
    return observer.after_tick(slot, desired, actual, actual, action, recent_takeovers=0)
