"""What the replicas of a namespace share, put together: all of it lives in Redis."""

from collections.abc import Callable
from dataclasses import dataclass

from listener.logs import Redactor
from registrar.coordination.membership import Lease, Roll
from registrar.coordination.mutex import Mutex
from registrar.coordination.pauses import Pauses
from registrar.coordination.state import Store
from registrar.observation import Observer
from registrar.settings import RegistrarSettings


@dataclass(frozen=True)
class Shared:
    """What replicas share: all of it in Redis."""

    mutex: Mutex
    lease: Lease
    store: Store
    pauses: Pauses
    read_roll: Callable[[], Roll]


def observer_of(settings: RegistrarSettings, shared: Shared) -> Observer:
    """Whoever works with these settings, as the one who observes."""
    redactor = Redactor(settings.secrets)
    return Observer(shared.lease.card.name, settings.service.public_url, redactor)
