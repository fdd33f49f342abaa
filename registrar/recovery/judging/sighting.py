"""What ThingSpace says of one upgrade at one look, and what that proves due. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from listener.recovered.recovery_state import Report
from registrar.recovery.calls.replies import device_id_of
from registrar.recovery.judging.due import KINDS_OF_DEVICES, STARTED, due_kinds, due_kinds_of_device

Device = Mapping[str, Any]


@dataclass(frozen=True)
class Sighting:
    """What ThingSpace says of one upgrade at one look.

    Attributes:
        report: of the upgrade.
        devices: in it; empty if they were not asked for.
        devices_call: the call that listed them, if it is not the one of the report.
    """

    report: Report
    devices: Sequence[Device] = ()
    devices_call: str = ""

    @property
    def start_ms(self) -> int | None:
        """When the upgrade was to start, in milliseconds since 1970; None: the report has no date that can be read."""
        return _time_ms(self.report.content.get("startDate"))

    def due_devices(self) -> dict[str, frozenset[str]]:
        """By kind, the devices whose state proves it due."""
        due: dict[str, set[str]] = {kind: set() for kind in KINDS_OF_DEVICES}
        for device in self.devices:
            if device_id := device_id_of(device):
                for kind in due_kinds_of_device(self.report.version, device):
                    due[kind].add(device_id)
        return {kind: frozenset(ids) for kind, ids in due.items()}

    def due_kinds(self) -> frozenset[str]:
        """The kinds that are due of the upgrade; a device that started proves that the upgrade did."""
        due = due_kinds(self.report.version, self.report.status)
        return due | {STARTED} if self.due_devices()[STARTED] else due

    def device_reports(self, ids: Sequence[str]) -> list[Report]:
        """A report of each of these devices."""
        by_id = {device_id_of(device): device for device in self.devices}
        return [
            replace(
                self.report,
                status=str(by_id[each].get("status") or ""),
                call=self.devices_call or self.report.call,
                content=by_id[each],
                device_id=each,
            )
            for each in ids
            if each in by_id
        ]


def _time_ms(text: Any) -> int | None:
    """A date, or a time in one of the provider's forms, in milliseconds since 1970; None: it is neither."""
    try:
        moment = datetime.fromisoformat(str(text).strip()[:19].replace(" ", "T"))
    except ValueError:
        return None
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)
