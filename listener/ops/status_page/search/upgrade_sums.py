"""Sums up messages by upgrade, while a search finds them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.formats import arrival
from listener.ops.status_page.links import upgrade_link


@dataclass(frozen=True)
class UpgradeSum:
    """The messages about one upgrade among those that were read.

    Attributes:
        last: the newest of them.
        counts: how many there are of each kind.
    """

    upgrade: str
    account: str
    last: StreamEntry
    counts: dict[str, int]

    @property
    def link(self) -> str:
        """The page of the upgrade."""
        return upgrade_link(self.upgrade)

    @property
    def time(self) -> datetime | None:
        """When the newest arrived."""
        return arrival(self.last)


class UpgradeSums:
    """The upgrades that messages are about, in the order of their newest messages.

    Args:
        max_upgrades: of how many the messages are summed up; the others are only counted.
    """

    def __init__(self, max_upgrades: int) -> None:
        self._max_upgrades = max_upgrades
        self._sums: dict[str, UpgradeSum] = {}
        self._others: set[str] = set()

    @property
    def upgrades(self) -> list[UpgradeSum]:
        """Those that are summed up."""
        return list(self._sums.values())

    @property
    def others(self) -> int:
        """How many more there are."""
        return len(self._others)

    def add(self, entries: Iterable[StreamEntry]) -> None:
        """Takes further messages, newest first, which are older than those before."""
        for entry in entries:
            fields = entry.fields
            if upgrade := fields.get("subject", ""):
                self._count(upgrade, fields.get("kind", ""), entry)

    def _count(self, upgrade: str, kind: str, entry: StreamEntry) -> None:
        known = self._sums.get(upgrade)
        if known is None:
            if len(self._sums) >= self._max_upgrades:
                self._others.add(upgrade)
                return
            account = entry.fields.get("account", "")
            known = self._sums[upgrade] = UpgradeSum(upgrade, account, entry, {})
        known.counts[kind] = known.counts.get(kind, 0) + 1
