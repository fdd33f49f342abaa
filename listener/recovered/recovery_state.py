"""What the registrar's recovery shares with the listener: a report of ThingSpace's, and the stored result of a sweep. Pure.

The registrar writes the result to `{<namespace>:registrar}:recovery`; `check`, the status page and `/metrics` read it there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

RECOVERABLE_KINDS = ("upgrade-scheduled", "upgrade-started", "upgrade-finished")
"""The kinds that a state of an upgrade can prove due. That firmware was announced is proved by no report."""


@dataclass(frozen=True)
class Report:
    """What ThingSpace's REST API says of one upgrade, or of one device in it.

    Attributes:
        account: as the call named it.
        version: of the API: `v1`, `v2` or `v3`.
        upgrade_id: of the upgrade (v1) or campaign (v2, v3).
        status: ThingSpace's word for the state of the upgrade, or of the device.
        call: the call that showed it, such as `GET /fota/v1/reports/{account}/status/Finished/index/0`; without secrets.
        content: the REST object as it came, without telephone numbers (`mdn`).
        device_id: the device that the report is about; None: the whole upgrade.
    """

    account: str
    version: str
    upgrade_id: str
    status: str
    call: str
    content: Mapping[str, Any] = field(repr=False)
    device_id: str | None = None


@dataclass(frozen=True)
class KindCounts:
    """Of one kind, the number of upgrades for which it was due since the baseline.

    Attributes:
        due: all of them; the sum of the next three and of those that the next look decides.
        announced: a callback came.
        missing: no callback came, as two looks found; recovered or not.
        unknown: it cannot be known, for instance because the stream was trimmed.
        recovered: of the missing, those that were put into the queue.
        devices_missing: of the devices for which it was due in all upgrades, those of which no callback came.
    """

    due: int = 0
    announced: int = 0
    missing: int = 0
    unknown: int = 0
    recovered: int = 0
    devices_missing: int = 0

    @property
    def delivery_rate(self) -> float | None:
        """Announced over what is known to have been announced or to be missing; None: nothing was due yet."""
        known = self.announced + self.missing
        return self.announced / known if known else None


@dataclass(frozen=True)
class SlotRecovery:
    """One account and API version as the last sweep left it. Times are RFC 3339, or None if there was none.

    Attributes:
        baseline: when the first sweep began, which only records what is there.
        swept: when the last complete sweep began.
        upgrades: how many upgrades ThingSpace reports.
        kinds: by kind.
        problem: why the last sweep failed, one word; None: it did not.
    """

    baseline: str | None = None
    swept: str | None = None
    upgrades: int = 0
    kinds: Mapping[str, KindCounts] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class RecoveryState:
    """The last sweeps of all slots.

    Attributes:
        mode: of RECOVERY: `report` or `queue`.
        interval_h: of RECOVERY_INTERVAL_H, in hours.
        slots: by `<account>/<version>`.
    """

    mode: str
    interval_h: float
    slots: Mapping[str, SlotRecovery] = field(default_factory=dict)

    def to_json(self) -> str:
        """For Redis and for `recover --json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "RecoveryState | None":
        """Reads what another version may have stored; None if this version cannot. Unknown members are ignored."""
        try:
            content = json.loads(text)
            slots = {str(name): _slot(slot) for name, slot in content["slots"].items()}
            return cls(str(content["mode"]), float(content["interval_h"]), slots)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError):
            return None

    def kinds(self) -> dict[str, KindCounts]:
        """The sums of all slots, by kind."""
        return {
            kind: KindCounts(
                *(
                    sum(
                        getattr(slot.kinds.get(kind, KindCounts()), name)
                        for slot in self.slots.values()
                    )
                    for name in KindCounts.__dataclass_fields__
                )
            )
            for kind in RECOVERABLE_KINDS
        }

    def last_sweep(self) -> datetime | None:
        """When the oldest of the slots' last sweeps began: so old is what this says. None: a slot was never swept."""
        times = [slot.swept for slot in self.slots.values()]
        if not times or None in times:
            return None
        return min(_moment(time) for time in times if time)


def _slot(content: Mapping[str, Any]) -> SlotRecovery:
    kinds = {
        str(kind): KindCounts(
            **{name: int(counts.get(name, 0)) for name in KindCounts.__dataclass_fields__}
        )
        for kind, counts in content.get("kinds", {}).items()
    }
    return SlotRecovery(
        baseline=_time_text(content.get("baseline")),
        swept=_time_text(content.get("swept")),
        upgrades=int(content.get("upgrades", 0)),
        kinds=kinds,
        problem=None if content.get("problem") is None else str(content["problem"]),
    )


def _time_text(value: Any) -> str | None:
    """Raises ValueError or TypeError if it is neither None nor a time."""
    if value is None:
        return None
    _moment(value)
    return str(value)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("without a time zone")
    return moment.astimezone(UTC)
