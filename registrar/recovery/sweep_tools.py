"""What a sweep works with, and how it reports where it is."""

from collections.abc import Callable
from dataclasses import dataclass

from registrar.errors import RegistrarError
from registrar.model import Slot
from registrar.recovery.calls.client import ReportClient
from registrar.recovery.judging.look import EvidenceReader, Looker
from registrar.recovery.judging.recoverer import Recoverer
from registrar.recovery.records.store import RecoveryStore
from registrar.turn import Turn


class CappedError(RegistrarError):
    """This run has sent as many calls as it may: the sweep goes on in the next one."""

    def __init__(self) -> None:
        super().__init__("capped", "goes on later")


@dataclass(frozen=True)
class Position:
    """How far a sweep is, for a progress bar: of a slot's `statuses` states, `done` are read."""

    slot: Slot
    status: str
    done: int
    statuses: int
    upgrades: int
    calls: int


@dataclass(frozen=True)
class Tools:
    """What a sweep works with.

    Attributes:
        store: where it stores.
        client: sends the calls.
        turn: of the mutex that is held.
        evidence: what came.
        recoverer: logs and queues what is missing.
        looker: judges.
        clock_ms: the time of day, in milliseconds since 1970.
        max_calls: the limit of calls in a run; the sweep stops before the next call that is a page's or an upgrade's.
        on_position: called after each page.
    """

    store: RecoveryStore
    client: ReportClient
    turn: Turn
    evidence: EvidenceReader
    recoverer: Recoverer
    looker: Looker
    clock_ms: Callable[[], int]
    max_calls: int
    on_position: Callable[[Position], None]

    def check_cap(self) -> None:
        """Raises CappedError if the run has sent as many calls as it may."""
        if self.client.calls >= self.max_calls:
            raise CappedError
