"""All upgrades of a sandbox, by account and version: pure state."""

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.campaigns.devices import position_of
from sandbox.campaigns.upgrade import Plan, Upgrade
from sandbox.delivery.losses import Losses
from sandbox.delivery.tally import Tally
from sandbox.provider_facts import Package, Version


@dataclass(frozen=True)
class Batch:
    """The upgrades of one request, in the order of their creation and of their devices.

    Attributes:
        number: 1, 2, 3, …
        devices: those of all upgrades, in ascending order.
        losses: which of its callbacks are lost on purpose.
        tally: what became of its callbacks.
    """

    number: int
    plan: Plan
    devices: Sequence[str]
    upgrades: Sequence[Upgrade]
    losses: Losses
    tally: Tally = field(default_factory=Tally)

    def upgrade_of(self, device: str) -> Upgrade | None:
        """The upgrade that a device is in; None: it is in none of these."""
        index = bisect_right(self.upgrades, device, key=lambda upgrade: upgrade.devices[0]) - 1
        if index < 0 or position_of(self.upgrades[index].devices, device) is None:
            return None
        return self.upgrades[index]


class Catalogue:
    """Every upgrade. A method is atomic, and an upgrade takes less than a kilobyte whatever the number of its devices."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._batches: list[Batch] = []
        self._by_id: dict[tuple[Version, str, str], Upgrade] = {}
        self._in_order: dict[tuple[Version, str], tuple[Upgrade, ...]] = defaultdict(tuple)

    def add(self, batch: Batch) -> None:
        version, account = key = batch.plan.version, batch.plan.account
        with self._mutex:
            self._batches.append(batch)
            self._by_id |= {(version, account, each.id): each for each in batch.upgrades}
            every = (*self._in_order[key], *batch.upgrades)
            self._in_order[key] = tuple(sorted(every, key=_ORDER[version]))

    def clear(self) -> None:
        with self._mutex:
            self._batches.clear()
            self._by_id.clear()
            self._in_order.clear()

    def get(self, version: Version, account: str, upgrade_id: str) -> Upgrade | None:
        with self._mutex:
            return self._by_id.get((version, account, upgrade_id))

    def upgrades(self, version: Version, account: str) -> Sequence[Upgrade]:
        """All of an account: v1's oldest first, the others' by id. [doc]"""
        with self._mutex:
            return self._in_order[version, account]

    def batches(self) -> list[Batch]:
        """Oldest first."""
        with self._mutex:
            return list(self._batches)

    def of_account(self, version: Version, account: str) -> list[Batch]:
        """The batches of an account and version, newest first."""
        wanted = version, account
        return [
            batch
            for batch in reversed(self.batches())
            if (batch.plan.version, batch.plan.account) == wanted
        ]

    def of_device(self, version: Version, account: str, device: str) -> list[Upgrade]:
        """The upgrades that a device is in, newest first."""
        found = (batch.upgrade_of(device) for batch in self.of_account(version, account))
        return [upgrade for upgrade in found if upgrade is not None]

    def packages(self, version: Version, account: str) -> list[Package]:
        """The packages of an account's upgrades, each once."""
        return list(dict.fromkeys(each.plan.package for each in self.of_account(version, account)))


def _age(upgrade: Upgrade) -> tuple[float, int]:
    return upgrade.created, upgrade.number


def _id(upgrade: Upgrade) -> tuple[str, int]:
    return upgrade.id, 0


_ORDER = {"v1": _age, "v2": _id, "v3": _id}
