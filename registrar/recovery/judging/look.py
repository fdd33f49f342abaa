"""One look at one upgrade: gathers what came and what is due, has it judged, and recovers what is missing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from listener.recovered.devices import EVERY_DEVICE, those_named
from registrar.recovery.judging.due import KINDS_OF_DEVICES
from registrar.recovery.judging.evidence import EvidenceIndex
from registrar.recovery.judging.recoverer import Recoverer, recovered_with_the_upgrade
from registrar.recovery.judging.sighting import Sighting
from registrar.recovery.judging.verdict import (
    DAY_MS,
    Evidence,
    Look,
    judge,
    judge_devices,
    missing_devices,
)
from registrar.recovery.records.upgrade_record import UpgradeRecord

# How long the streams are read on before each page of reports.
REFRESH_S = 5.0


class EvidenceReader:
    """Reads the evidence of one upgrade after another; what is the same for all is asked once a page.

    Attributes:
        names_devices: whether messages name devices, of whichever upgrade and kind: not public [?], so it is learnt.
    """

    def __init__(self, index: EvidenceIndex) -> None:
        self._index = index
        self._blindness = ""
        self.names_devices = False

    def refresh(self, budget_s: float = REFRESH_S) -> bool:
        """Reads on in the streams; to be called before what ThingSpace says is asked for.

        Returns whether their end was reached. Raises redis.RedisError.
        """
        is_at_end = self._index.refresh(budget_s)
        self._blindness = "" if is_at_end else "streams-not-read"
        if is_at_end and self._index.spool_is_waiting():
            self._blindness = "spool-waiting"
        return is_at_end

    def of(self, account: str, upgrade_id: str) -> Evidence:
        """What came of an upgrade. Raises redis.RedisError."""
        since = self._index.complete_since(account, upgrade_id)
        since_ms = int(since.timestamp() * 1000) if since else 0
        kinds = frozenset(self._index.kinds_of(account, upgrade_id))
        return Evidence(kinds, max(since_ms, 0), self._blindness)

    def devices_of(self, account: str, upgrade_id: str, kind: str) -> frozenset[str]:
        """The devices that messages of a kind named. Raises redis.RedisError."""
        devices = frozenset(self._index.devices_of(account, upgrade_id, kind))
        self.names_devices |= bool(devices - {EVERY_DEVICE})
        return devices

    def recovered_kinds_of(self, account: str, upgrade_id: str) -> frozenset[str]:
        """The kinds that were recovered of an upgrade as a whole. Raises redis.RedisError."""
        return frozenset(self._index.recovered_kinds_of(account, upgrade_id))

    def learns_devices(self, account: str, upgrade_id: str) -> bool:
        """Whether messages name devices, after a look at those of this upgrade. Raises redis.RedisError."""
        return self.names_devices or any(
            self.devices_of(account, upgrade_id, kind) for kind in sorted(KINDS_OF_DEVICES)
        )


@dataclass(frozen=True)
class Conditions:
    """What all looks of a sweep have in common.

    Attributes:
        distance_ms: how far apart two looks must be.
        is_baseline: whether this sweep records what is there, and judges nothing of it.
        baseline_ms: when the sweep began that did; 0: none did.
        swept_ms: when the last complete sweep began; None: there was none.
        since_ms: upgrades that start at this time or later are judged also if they were there at the baseline;
            None: nobody asked for that.
        sweep_ms: when this sweep began.
        clock_ms: the time of day, in milliseconds since 1970.
    """

    distance_ms: int
    is_baseline: bool
    baseline_ms: int
    swept_ms: int | None
    since_ms: int | None
    sweep_ms: int
    clock_ms: Callable[[], int]

    def look(self, sighting: Sighting, record: UpgradeRecord | None) -> Look:
        """The look that is being taken.

        A list may have hidden an upgrade at the baseline. One that is seen for the first time, and by its date began
        on a day before the baseline's, was there already.
        """
        report = sighting.report
        return Look(
            at_ms=self.clock_ms(),
            status=report.status,
            due=sighting.due_kinds(),
            distance_ms=self.distance_ms,
            is_baseline=self.is_baseline or (record is None and self._is_old(sighting)),
            swept_ms=self.swept_ms,
            is_asked_for=self.since_ms is not None and (sighting.start_ms or 0) >= self.since_ms,
            start_ms=sighting.start_ms,
        )

    def _is_old(self, sighting: Sighting) -> bool:
        # A clock that was ahead at the baseline sets no more aside than today's does.
        baseline_ms = min(self.baseline_ms, self.sweep_ms)
        return sighting.start_ms is not None and sighting.start_ms + DAY_MS <= baseline_ms


class Looker:
    """Looks at upgrades.

    Args:
        evidence: what came.
        recoverer: puts what is missing into the queue, or only logs it.
    """

    def __init__(self, evidence: EvidenceReader, recoverer: Recoverer) -> None:
        self._evidence = evidence
        self._recoverer = recoverer

    def look(
        self, sighting: Sighting, record: UpgradeRecord | None, conditions: Conditions
    ) -> UpgradeRecord:
        """The record after this look.

        Args:
            sighting: what ThingSpace says.
            record: as it was before; None: the upgrade was not seen yet.
            conditions: of the sweep.

        Raises:
            redis.RedisError: Redis did not answer.
        """
        look = conditions.look(sighting, record)
        report = sighting.report
        if record is None and look.is_baseline and not look.is_asked_for and not sighting.devices:
            # Nothing is judged, so nothing need be known.
            evidence = Evidence(frozenset())
        else:
            evidence = self._evidence.of(report.account, report.upgrade_id)
        after = judge(record, look, evidence)
        devices = self._judge_devices(sighting, record, look, evidence) if sighting.devices else {}
        is_judged = bool(sighting.devices) and not evidence.blindness
        after = replace(
            after,
            devices={**after.devices, **devices},
            devices_ms=look.at_ms if is_judged else after.devices_ms,
            sweep_ms=conditions.sweep_ms,
        )
        return self._recoverer.recover(sighting, record, after, _missing(after, look, evidence))

    def _judge_devices(
        self, sighting: Sighting, record: UpgradeRecord | None, look: Look, evidence: Evidence
    ) -> dict[str, dict[str, int]]:
        """By kind, the devices in question; only of kinds whose messages name devices."""
        report = sighting.report
        questions = {}
        about = (report.account, report.upgrade_id)
        # Only what was judged before can have been recovered.
        recovered = self._evidence.recovered_kinds_of(*about) if record else frozenset()
        for kind, due in sighting.due_devices().items():
            named = self._evidence.devices_of(*about, kind)
            before = record.devices.get(kind, {}) if record else {}
            known = due | before.keys()
            # A message that may be about every device speaks for all of them.
            seen = known if EVERY_DEVICE in named else those_named(known, named)
            names = look.is_baseline or self._evidence.names_devices
            if named or (names and kind not in evidence.kinds):
                questions[kind] = judge_devices(
                    kind, record, due, seen=seen, look=look, evidence=evidence
                )
            if kind in recovered:
                questions[kind] = recovered_with_the_upgrade(before, known - seen)
        return questions


def _missing(after: UpgradeRecord, look: Look, evidence: Evidence) -> dict[str, list[str]]:
    """By kind, the devices that are missing; kinds without any are left out."""
    found = {kind: missing_devices(times, look, evidence) for kind, times in after.devices.items()}
    return {kind: ids for kind, ids in found.items() if ids}
