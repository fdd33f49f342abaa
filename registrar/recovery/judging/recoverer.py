"""Logs what is missing, and puts it into the queue if that is wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile

import redis
import structlog

from listener.errors import ListenerError
from listener.recovered.recovery_state import Report
from registrar.recovery.judging.evidence import RecoveredMessages
from registrar.recovery.judging.sighting import Sighting
from registrar.recovery.records.upgrade_record import (
    RECOVERED_MS,
    SET_ASIDE_MS,
    UpgradeRecord,
    Verdict,
)
from registrar.turn import UNRESTRICTED, Turn

log = structlog.get_logger("registrar")

# Missing messages with a log line of their own; the counts include the others.
MAX_LINES = 50
# The number of queued messages after which the mutex is renewed.
CHECK_EVERY = 50


class Recoverer:
    """Recovers what one sweep of a slot finds missing.

    Args:
        messages: puts what is missing into the queue; None: it is only reported.
        turn: of the mutex that is held.
        is_silent: whether nothing is logged.

    Attributes:
        queued: how many messages were put into the queue.
        failed: how many could not be put there; the next sweep tries again.
    """

    def __init__(
        self,
        messages: RecoveredMessages | None,
        *,
        turn: Turn = UNRESTRICTED,
        is_silent: bool = False,
    ) -> None:
        self._messages = messages
        self._turn = turn
        self._puts = 0
        self._lines_left = 0 if is_silent else MAX_LINES
        self.queued = 0
        self.failed = 0

    def recover(
        self,
        sighting: Sighting,
        before: UpgradeRecord | None,
        after: UpgradeRecord,
        missing_devices: Mapping[str, Sequence[str]],
    ) -> UpgradeRecord:
        """The record in which what was recovered is marked so.

        A kind whose messages name devices is recovered by a message for each device that is missing, any other by
        one for the upgrade.

        Args:
            sighting: what ThingSpace says.
            before: the record as it was.
            after: the record as it was judged.
            missing_devices: by kind.

        Raises:
            NotExclusiveError: the mutex was lost. What was put is known to the queue: it is not put again.
        """
        missing = {k for k, finding in after.kinds.items() if finding.verdict is Verdict.MISSING}
        for kind in sorted({*missing, *missing_devices}):
            devices = missing_devices.get(kind, ())
            self._log_once(sighting, before, kind, len(devices))
            after = self._recover_devices(sighting, after, kind, devices)
            if kind in missing:
                after = self._recover_upgrade(sighting, after, kind)
        return after

    def _recover_devices(
        self, sighting: Sighting, after: UpgradeRecord, kind: str, devices: Sequence[str]
    ) -> UpgradeRecord:
        reports = sighting.device_reports(devices)
        # A queue that did not take one takes no other now: the next sweep tries again.
        put = takewhile(lambda report: self._is_put(report, kind), reports)
        done = [report.device_id for report in put]
        times = {**after.devices.get(kind, {}), **dict.fromkeys(filter(None, done), RECOVERED_MS)}
        return replace(after, devices={**after.devices, kind: times}) if done else after

    def _recover_upgrade(
        self, sighting: Sighting, after: UpgradeRecord, kind: str
    ) -> UpgradeRecord:
        """By its devices, where there are some in question, else by one message."""
        times = [ms for ms in after.devices.get(kind, {}).values() if ms != SET_ASIDE_MS]
        is_done = all(ms == RECOVERED_MS for ms in times) if times else False
        if is_done or (not times and self._is_put(sighting.report, kind)):
            finding = replace(after.kinds[kind], verdict=Verdict.RECOVERED)
            return replace(after, kinds={**after.kinds, kind: finding})
        return after

    def _is_put(self, report: Report, kind: str) -> bool:
        """Whether the message is in the queue now; it may have been there before."""
        if self._messages is None:
            return False
        self._puts += 1
        if self._puts % CHECK_EVERY == 0:
            self._turn.check()
        try:
            self.queued += self._messages.put(report, kind)
        except (ListenerError, redis.RedisError) as error:
            self.failed += 1
            if self.failed == 1:
                log.warning("recovered message not queued", why=type(error).__name__)
            return False
        return True

    def _log_once(
        self, sighting: Sighting, before: UpgradeRecord | None, kind: str, devices: int
    ) -> None:
        """Logs what was not missing at the look before."""
        finding = before.kinds.get(kind) if before else None
        is_known = finding is not None and finding.verdict in {Verdict.MISSING, Verdict.RECOVERED}
        if is_known or not self._lines_left:
            return
        self._lines_left -= 1
        report = sighting.report
        log.warning(
            "message never came",
            account=report.account,
            version=report.version,
            upgrade=report.upgrade_id,
            kind=kind,
            devices=devices,
            status=report.status,
        )


def recovered_with_the_upgrade(
    before: Mapping[str, int], devices: frozenset[str]
) -> dict[str, int]:
    """The marks of devices whose upgrade has one queued message for all, so that no device gets its own.

    Args:
        before: their marks until now, as of one kind in `UpgradeRecord.devices`.
        devices: those of which no message came.
    """
    return {
        device: SET_ASIDE_MS if before.get(device) == SET_ASIDE_MS else RECOVERED_MS
        for device in devices
    }
