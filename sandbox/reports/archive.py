"""What the reports of one version still know of an account."""

from dataclasses import dataclass, field

from sandbox.campaigns.catalogue import Catalogue
from sandbox.campaigns.stages import Stage
from sandbox.campaigns.upgrade import Upgrade
from sandbox.provider_facts import Package, Version
from sandbox.reports.options import ReportOptions

DAY_S = 86_400.0


@dataclass(frozen=True)
class Archive:
    """An account's upgrades at the time of a call, less those that are too old.

    Attributes:
        now: seconds since the epoch.
    """

    catalogue: Catalogue = field(repr=False)
    version: Version
    account: str
    options: ReportOptions
    now: float

    def get(self, upgrade_id: str) -> Upgrade | None:
        found = self.catalogue.get(self.version, self.account, upgrade_id)
        return None if found is None or self._expired(found) else found

    def in_stage(self, stage: Stage) -> list[Upgrade]:
        """Those in a stage: v1's oldest first, the others' by id. [doc]"""
        return [
            upgrade
            for upgrade in self.catalogue.upgrades(self.version, self.account)
            if upgrade.stage(self.now) is stage and not self._expired(upgrade)
        ]

    def of_device(self, device: str) -> list[Upgrade]:
        """Those that a device is in, newest first."""
        found = self.catalogue.of_device(self.version, self.account, device)
        return [upgrade for upgrade in found if not self._expired(upgrade)]

    def packages(self) -> list[Package]:
        """The packages for the models of the account's devices."""
        return self.catalogue.packages(self.version, self.account)

    def _expired(self, upgrade: Upgrade) -> bool:
        """v1 keeps upgrades for six months [doc], the others for an unknown time [?]."""
        v1 = self.version == "v1"
        days = self.options.v1_history_days if v1 else self.options.history_days
        return days > 0 and self.now - upgrade.created > days * DAY_S
