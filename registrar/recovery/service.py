"""Sweeps the slots of a deployment, one after the other, under the recovery's own mutex, and publishes the result."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import structlog

from listener.recovered.recovery_state import KindCounts, RecoveryState, SlotRecovery
from listener.times import timestamp
from registrar.coordination.mutex import Mutex
from registrar.errors import (
    AuthExpiredError,
    NotExclusiveError,
    RegistrarError,
    RejectedError,
    UnavailableError,
)
from registrar.model import Slot
from registrar.recovery.calls.client import ReportClient
from registrar.recovery.judging.evidence import EvidenceIndex, RecoveredMessages
from registrar.recovery.judging.look import EvidenceReader, Looker
from registrar.recovery.judging.recoverer import Recoverer
from registrar.recovery.judging.verdict import LOOK_DISTANCE_MS
from registrar.recovery.records.slot_record import SlotRecord
from registrar.recovery.records.store import DryRunStore, RecoveryStore, RedisRecoveryStore
from registrar.recovery.schedule import RETRY_MS, refused_wait_ms
from registrar.recovery.sweep import MAX_PAUSE_MS, SlotSweep
from registrar.recovery.sweep_tools import CappedError, Position, Tools
from registrar.turn import Turn

log = structlog.get_logger("registrar")

# After a run that was capped.
CAP_PAUSE_MS = 60_000
# A run of the loop sends so many calls at the most; the sweep goes on in the next run.
MAX_CALLS = 2000
UNLIMITED = 10**9
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Plan:
    """What is to be swept.

    Attributes:
        causes: the slots, and why each is swept.
        since_ms: upgrades that start at this time or later are judged also if the baseline set them aside; None: no.
        is_dry_run: whether nothing is stored and nothing is queued.
        max_calls: of this run.
        mutex_wait_s: how long another process that sweeps is waited for. One that was killed holds the mutex until
            it expires.
    """

    causes: Mapping[Slot, str]
    since_ms: int | None = None
    is_dry_run: bool = False
    max_calls: int = UNLIMITED
    mutex_wait_s: float = 0.0


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        records: of the slots that were swept to the end.
        errors: of the others.
        calls: how many were sent.
        queued: how many messages were put into the queue.
        seconds: how long it took.
        store: what was found; of a dry run it is kept nowhere else.
    """

    store: RecoveryStore
    records: dict[Slot, SlotRecord] = field(default_factory=dict)
    errors: dict[Slot, RegistrarError] = field(default_factory=dict)
    calls: int = 0
    queued: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Recovery:
    """All that recovers, of one process.

    Attributes:
        slots: all of the deployment.
        mode: `off`, `report` or `queue`; with `off` somebody sweeps by hand, and the result is not published, since
            nobody renews it.
        interval_h: of RECOVERY_INTERVAL_H.
        second_look_s: how far apart two looks must be; None: as the version asks for.
        mutex: the recovery's own.
        store: shared by all replicas.
        clients: makes the client of one run.
        evidence: what came.
        messages: puts what is missing into the queue.
        clock_ms: the time of day, in milliseconds since 1970.
    """

    slots: Sequence[Slot]
    mode: str
    interval_h: float
    second_look_s: float | None
    mutex: Mutex
    store: RedisRecoveryStore
    clients: Callable[[], ReportClient]
    evidence: EvidenceIndex
    messages: RecoveredMessages
    clock_ms: Callable[[], int] = lambda: int(time.time() * 1000)

    def run(
        self, plan: Plan, turn: Turn, on_position: Callable[[Position], None] = lambda _: None
    ) -> Outcome:
        """Sweeps, and publishes what was found. A slot that fails does not keep the others from being swept.

        Raises:
            NotExclusiveError: another process sweeps all the time, this one lost the mutex, or it is to stop.
            redis.RedisError: Redis does not answer: without it nothing is swept.
        """
        began = time.monotonic()
        outcome = Outcome(DryRunStore(self.store) if plan.is_dry_run else self.store)
        with self.mutex.hold(turn, timeout_s=plan.mutex_wait_s) as held:
            if causes := [*plan.causes.values()]:
                log.info("sweep begun", slots=len(causes), cause=causes[0])
            fenced = turn.under(held)
            client = self.clients()
            for slot in plan.causes:
                tools = self._tools(plan, outcome, client, fenced, on_position)
                if not self._sweep(slot, plan, outcome, tools):
                    break
            outcome.calls, outcome.seconds = client.calls, time.monotonic() - began
            if not plan.is_dry_run and self.mode != "off":
                self.publish()
        return outcome

    def _tools(
        self,
        plan: Plan,
        outcome: Outcome,
        client: ReportClient,
        turn: Turn,
        on_position: Callable[[Position], None],
    ) -> Tools:
        evidence = EvidenceReader(self.evidence)
        is_queueing = self.mode == "queue" and not plan.is_dry_run
        messages = self.messages if is_queueing else None
        recoverer = Recoverer(messages, turn=turn, is_silent=plan.is_dry_run)
        return Tools(
            store=outcome.store,
            client=client,
            turn=turn,
            evidence=evidence,
            recoverer=recoverer,
            looker=Looker(evidence, recoverer),
            clock_ms=self.clock_ms,
            max_calls=plan.max_calls,
            on_position=on_position,
        )

    def _sweep(self, slot: Slot, plan: Plan, outcome: Outcome, tools: Tools) -> bool:
        """Sweeps one slot; whether the next one may be swept."""
        cause = plan.causes[slot]
        sweep = SlotSweep(
            slot,
            tools,
            cause=cause,
            distance_ms=self._distance_ms(slot),
            since_ms=plan.since_ms,
            max_pause_ms=max(MAX_PAUSE_MS, 2 * self._interval_ms),
        )
        try:
            record = outcome.records[slot] = sweep.run()
        except NotExclusiveError:
            raise
        except RegistrarError as error:
            outcome.errors[slot] = error
            self._note_failure(slot, error, tools)
            # Without a login the others fail as well; throttled, they would only be throttled again.
            return isinstance(error, RejectedError)
        finally:
            outcome.queued += tools.recoverer.queued
        log.info(
            "swept",
            slot=str(slot),
            cause=cause,
            upgrades=record.upgrades,
            missing=sum(counts.get("missing", 0) for counts in record.kinds.values()),
            queued=tools.recoverer.queued,
            calls=tools.client.calls,
        )
        return True

    def _note_failure(self, slot: Slot, error: RegistrarError, tools: Tools) -> None:
        before = tools.store.slot(slot)
        # Each refusal has cost the calls of a sweep or a login, and the next one will most likely be the same.
        is_refused = isinstance(error, RejectedError | AuthExpiredError)
        refusals = before.refusals + 1 if is_refused else before.refusals
        wait_ms = refused_wait_ms(refusals, self._interval_ms) if is_refused else RETRY_MS
        if isinstance(error, UnavailableError) and error.retry_after_s:
            wait_ms = max(wait_ms, round(error.retry_after_s * 1000))
        is_capped = isinstance(error, CappedError)
        record = replace(
            before,
            retry_ms=self.clock_ms() + (CAP_PAUSE_MS if is_capped else wait_ms),
            refusals=refusals,
            problem="" if is_capped else error.reason,
        )
        tools.store.save(slot, record, {}, tools.turn.fencing_token)
        log.warning("sweep interrupted", slot=str(slot), reason=error.reason, detail=error.detail)

    @property
    def _interval_ms(self) -> int:
        return round(self.interval_h * HOUR_MS)

    def _distance_ms(self, slot: Slot) -> int:
        if self.second_look_s is None:
            return LOOK_DISTANCE_MS[slot.version]
        return round(self.second_look_s * 1000)

    def publish(self) -> None:
        """Stores the result for the status page, `check` and the metrics. Raises redis.RedisError."""
        self.store.publish(self.state(self.store))

    def state(self, store: RecoveryStore) -> RecoveryState:
        """What is known of all slots. Raises redis.RedisError."""
        slots = {str(slot): _shown(store.slot(slot)) for slot in self.slots}
        mode = "queue" if self.mode == "queue" else "report"
        return RecoveryState(mode, self.interval_h, slots)


def _shown(record: SlotRecord) -> SlotRecovery:
    names = KindCounts.__dataclass_fields__
    kinds = {
        kind: KindCounts(**{name: counts.get(name, 0) for name in names})
        for kind, counts in record.kinds.items()
    }
    return SlotRecovery(
        baseline=_time_text(record.baseline_ms),
        swept=_time_text(record.swept_ms),
        upgrades=record.upgrades,
        kinds=kinds,
        problem=record.problem or None,
    )


def _time_text(milliseconds: int) -> str | None:
    if not milliseconds:
        return None
    return timestamp(datetime.fromtimestamp(milliseconds / 1000, UTC))
