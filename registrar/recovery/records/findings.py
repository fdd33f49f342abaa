"""What a sweep found for the operator: the upgrades with missing messages. Pure but for the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from registrar.model import Slot
from registrar.recovery.records.store import RecoveryStore
from registrar.recovery.records.upgrade_record import SET_ASIDE_MS, UpgradeRecord, Verdict

UNREMARKABLE = frozenset({Verdict.SEEN, Verdict.BASELINE})


@dataclass(frozen=True)
class UpgradeFinding:
    """One upgrade with at least one missing message."""

    slot: Slot
    upgrade_id: str
    record: UpgradeRecord

    def data(self) -> dict[str, Any]:
        """One object of `--json`'s `upgrades`."""
        return {
            "account": self.slot.account,
            "version": self.slot.version,
            "upgrade": self.upgrade_id,
            "status": self.record.status,
            "kinds": {kind: self._kind(kind) for kind in self.kinds()},
        }

    def kinds(self) -> list[str]:
        """The kinds that are not all there."""
        return [
            kind
            for kind, finding in self.record.kinds.items()
            if finding.verdict not in UNREMARKABLE or self.devices(kind)
        ]

    def devices(self, kind: str) -> list[str]:
        """The devices whose message is missing."""
        times = self.record.devices.get(kind, {})
        return sorted(device for device, ms in times.items() if ms != SET_ASIDE_MS)

    def _kind(self, kind: str) -> dict[str, Any]:
        finding = self.record.kinds[kind]
        return {
            "verdict": finding.verdict.value,
            "reason": finding.reason or None,
            "devices": self.devices(kind),
        }


def findings(slot: Slot, store: RecoveryStore) -> Iterator[UpgradeFinding]:
    """The upgrades of a slot that are worth a line. Raises redis.RedisError."""
    for upgrade_id, record in store.all_upgrades(slot):
        one = UpgradeFinding(slot, upgrade_id, record)
        if one.kinds():
            yield one
