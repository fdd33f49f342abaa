"""The devices of an upgrade: in the item of a list (v1), or by calls of their own (v2, v3)."""

from collections.abc import Iterator
from itertools import islice

import structlog

from listener.recovered.recovery_state import Report
from registrar.errors import RejectedError
from registrar.recovery.calls.api import FIRST_CURSOR, ReportsApi, name_of
from registrar.recovery.calls.paging import pages
from registrar.recovery.calls.replies import Page, devices_in, read_page
from registrar.recovery.judging.due import FINAL_STATUSES
from registrar.recovery.judging.look import Conditions
from registrar.recovery.judging.sighting import Device, Sighting
from registrar.recovery.records.upgrade_record import UpgradeRecord, Verdict
from registrar.recovery.sweep_tools import Tools

log = structlog.get_logger("registrar")

MAX_DEVICE_PAGES = 200


class DeviceReports:
    """Adds its devices to the report of an upgrade, and asks ThingSpace for them only where that can decide something."""

    def __init__(self, api: ReportsApi, tools: Tools, conditions: Conditions) -> None:
        """Asks nothing yet."""
        self._api = api
        self._tools = tools
        self._conditions = conditions

    def sighting(self, report: Report, record: UpgradeRecord | None) -> Sighting:
        """A report with its devices, as far as a look at it needs them.

        Args:
            report: of one upgrade.
            record: what earlier looks at it found.

        Raises:
            CappedError: the run has sent as many calls as it may.
            RegistrarError: ThingSpace does not answer, the process is to stop, or the mutex was lost.
        """
        if self._api.has_devices:
            return Sighting(report, devices_in(report.content))
        if not self._asks_for_devices(report, record):
            return Sighting(report)
        name = name_of(self._api.devices_call(report.account, report.upgrade_id, FIRST_CURSOR))
        return Sighting(report, list(self._devices(report)), name)

    def _asks_for_devices(self, report: Report, record: UpgradeRecord | None) -> bool:
        """Whether this look needs what a call of its own would say."""
        is_final = report.status in FINAL_STATUSES
        if "Request" in report.status:
            return False
        is_set_aside = self._conditions.is_baseline and self._conditions.since_ms is None
        if is_set_aside and is_final and record is None:
            return False
        if is_final and record and record.status == report.status and not _open_questions(record):
            return False
        # In v3 the devices prove that the upgrade started.
        return report.version == "v3" or self._tools.evidence.learns_devices(
            report.account, report.upgrade_id
        )

    def _devices(self, report: Report) -> Iterator[Device]:
        def fetch(cursor: str) -> Page:
            call = self._api.devices_call(report.account, report.upgrade_id, cursor)
            return self._tools.client.fetch(call, read_page, self._tools.turn)

        self._tools.check_cap()
        try:
            for _, page in islice(pages(fetch), MAX_DEVICE_PAGES):
                yield from page.items
        except RejectedError as refusal:
            log.info("devices refused", upgrade=report.upgrade_id, why=str(refusal))


def _open_questions(record: UpgradeRecord) -> bool:
    """Whether devices are in question, and neither set aside nor recovered, or none was judged yet."""
    if not record.devices_ms:
        return any(each.verdict is not Verdict.BASELINE for each in record.kinds.values())
    return any(ms > 0 for times in record.devices.values() for ms in times.values())
