"""A sweep of one account and API version: asks state after state, looks at each upgrade, and stores how far it is.

Each page is stored with its position in one step, so that a sweep that was interrupted, even by SIGKILL, goes on where
it stopped.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import structlog

from listener.recovered.recovery_state import Report
from registrar.errors import RejectedError
from registrar.model import Slot
from registrar.recovery.calls.api import FIRST_CURSOR, api_of, name_of
from registrar.recovery.calls.paging import pages
from registrar.recovery.calls.refusals import may_mean_empty, says_empty
from registrar.recovery.calls.replies import (
    NoSuchPathError,
    Page,
    id_of,
    read_page,
    read_upgrade,
)
from registrar.recovery.device_reports import DeviceReports
from registrar.recovery.judging.due import FINAL_STATUSES, due_kinds
from registrar.recovery.judging.look import Conditions
from registrar.recovery.records.slot_record import Progress, SlotRecord
from registrar.recovery.records.tally import tally
from registrar.recovery.records.upgrade_record import UpgradeRecord
from registrar.recovery.sweep_tools import CappedError, Position, Tools

log = structlog.get_logger("registrar")

# A sweep that was interrupted longer ago begins anew: the lists have changed too much.
STALE_MS = 6 * 3600 * 1000
# How many upgrades are looked at before what was found is stored: each may have cost calls of its own.
STORE_EVERY = 20
# Upgrades that no list has any more are asked for by id: this many in a sweep, and each this often.
MAX_ABSENT = 200
MAX_ABSENCES = 3
# ThingSpace keeps v1's upgrades for six months [doc].
FORGET_MS = 200 * 24 * 3600 * 1000
# After a longer pause nothing of the meantime is judged: the next sweep is a baseline.
MAX_PAUSE_MS = 7 * 24 * 3600 * 1000
# How long the streams are read before a sweep, in parts, between which the mutex is renewed.
REFRESH_PARTS = 24


class SlotSweep:
    """One run of the sweep of a slot: from its beginning, or from where the last run stopped.

    Args:
        slot: account and version.
        tools: see there.
        cause: why it is swept.
        distance_ms: how far apart two looks must be.
        since_ms: see `Conditions`; a sweep that has one begins anew.
        max_pause_ms: a sweep that begins later after the last one is a baseline.
    """

    def __init__(
        self,
        slot: Slot,
        tools: Tools,
        *,
        cause: str,
        distance_ms: int,
        since_ms: int | None,
        max_pause_ms: int = MAX_PAUSE_MS,
    ) -> None:
        self._slot = slot
        self._tools = tools
        self._api = api_of(slot)
        self._max_pause_ms = max_pause_ms
        self._record, self._progress = self._begin(cause, anew=since_ms is not None)
        self._looked = 0
        self._list_name = ""
        self._accepted = bool(self._progress.done)
        self._refusal: RejectedError | None = None
        self._conditions = Conditions(
            distance_ms=distance_ms,
            is_baseline=self._is_baseline(self._record, self._progress.started_ms),
            baseline_ms=self._record.baseline_ms,
            swept_ms=self._record.swept_ms or None,
            since_ms=since_ms,
            sweep_ms=self._progress.started_ms,
            clock_ms=tools.clock_ms,
        )
        self._devices = DeviceReports(self._api, tools, self._conditions)

    def run(self) -> SlotRecord:
        """Sweeps; returns the record of the slot, which is stored.

        Raises:
            RegistrarError: ThingSpace refuses or does not answer, the process is to stop, the mutex was lost, or the
                run is capped. What was found until then is stored.
            redis.RedisError: likewise.
        """
        self._read_streams()
        for status in self._api.statuses:
            if status not in self._progress.done:
                self._sweep_status(status)
        is_unread = self._conditions.is_baseline and self._progress.is_partial
        if self._refusal and (is_unread or not self._accepted):
            # The next one begins anew: what was refused is not done.
            self._record = replace(self._record, progress=None)
            self._save({})
            raise self._refusal
        self._look_for_absent()
        return self._finish()

    def _begin(self, cause: str, *, anew: bool) -> tuple[SlotRecord, Progress]:
        record, now_ms = self._tools.store.slot(self._slot), self._tools.clock_ms()
        progress = record.progress
        if progress is None or anew or now_ms - progress.saved_ms > STALE_MS:
            progress = Progress(now_ms, "baseline" if self._is_baseline(record, now_ms) else cause)
        self._tools.evidence.names_devices |= record.names_devices
        return record, progress

    def _is_baseline(self, record: SlotRecord, started_ms: int) -> bool:
        """Whether the sweep that began then is one: the first, or the first after a long pause."""
        return not record.baseline_ms or started_ms - record.swept_ms > self._max_pause_ms

    def _read_streams(self) -> None:
        for _ in range(REFRESH_PARTS):
            self._tools.turn.check()
            if self._tools.evidence.refresh():
                return

    def _sweep_status(self, status: str) -> None:
        try:
            for _, page in pages(lambda at: self._list_page(status, at), self._progress.cursor):
                self._accepted = True
                self._look_at_page(status, page)
        except RejectedError as refusal:
            if says_empty(refusal):
                self._accepted = True
            elif status not in self._api.doubtful_statuses:
                self._note_refusal(status, refusal)
        self._store({}, done=(*self._progress.done, status), cursor=FIRST_CURSOR)
        self._report_position(status)

    def _note_refusal(self, status: str, refusal: RejectedError) -> None:
        log.info("state refused", slot=str(self._slot), status=status, why=str(refusal))
        if self._progress.cursor == FIRST_CURSOR and may_mean_empty(refusal):
            self._accepted = True
        else:
            self._refusal = refusal
        if due_kinds(self._slot.version, status):
            self._progress = replace(self._progress, is_partial=True)

    def _list_page(self, status: str, cursor: str) -> Page:
        """One page; where the documents name several paths, of the one that exists, which is remembered."""
        self._tools.check_cap()
        self._tools.evidence.refresh()
        paths = sorted(self._api.list_paths, key=lambda path: path != self._record.list_path)
        for number, path in enumerate(paths, start=1):
            call = self._api.list_call(self._slot.account, status, cursor, path)
            self._list_name = name_of(call)
            try:
                page = self._tools.client.fetch(call, read_page, self._tools.turn)
            except NoSuchPathError:
                if number == len(paths):
                    raise
            else:
                self._record = replace(self._record, list_path=path)
                return page
        raise AssertionError("a list has a path")

    def _look_at_page(self, status: str, page: Page) -> None:
        reports = [
            self._report(upgrade_id, item, self._api.status_of(item.get("status"), status))
            for item in page.items
            if (upgrade_id := id_of(item))
        ]
        for part in _batched(reports, STORE_EVERY):
            # A page may take longer than the mutex lasts, on a busy machine or with calls for devices.
            self._tools.turn.check()
            self._store(self._look_at(part))
            self._report_position(status)
        self._store({}, cursor=page.next_cursor or self._progress.cursor)

    def _report(
        self, upgrade_id: str, item: Mapping[str, Any], status: str, call: str = ""
    ) -> Report:
        call = call or self._list_name
        return Report(self._slot.account, self._slot.version, upgrade_id, status, call, item)

    def _look_at(self, reports: Iterable[Report]) -> dict[str, UpgradeRecord]:
        """The records of these upgrades after a look at each.

        Raises:
            CappedError: what was looked at until then is stored.
        """
        reports = list(reports)
        before = self._tools.store.upgrades(self._slot, [each.upgrade_id for each in reports])
        after: dict[str, UpgradeRecord] = {}
        try:
            for report in reports:
                record = after.get(report.upgrade_id) or before.get(report.upgrade_id)
                if record is None or not self._was_looked_at(report, record):
                    sighting = self._devices.sighting(report, record)
                    looked = self._tools.looker.look(sighting, record, self._conditions)
                    after[report.upgrade_id] = looked
        except CappedError:
            self._store(after)
            raise
        self._looked += len(reports)
        return after

    def _was_looked_at(self, report: Report, record: UpgradeRecord) -> bool:
        """Whether this sweep did so in an earlier run, which was capped within the page; a blind look does not count."""
        return record.sweep_ms == self._progress.started_ms and record.status == report.status

    def _look_for_absent(self) -> None:
        """Asks by id for upgrades that were in a list before and are in none now: no list has every state. [doc]"""
        absent = (
            (upgrade_id, record)
            for upgrade_id, record in self._tools.store.all_upgrades(self._slot)
            if record.sweep_ms != self._progress.started_ms
            and record.status not in FINAL_STATUSES
            and record.absences < MAX_ABSENCES
        )
        for upgrade_id, record in list(islice(absent, MAX_ABSENT)):
            self._tools.check_cap()
            call = self._api.upgrade_call(self._slot.account, upgrade_id)
            try:
                found = self._tools.client.fetch(call, read_upgrade, self._tools.turn)
            except RejectedError:
                found = None
            if found:
                said = found.get("status")
                # No list has every state, so any word may be one.
                status = (said.strip() if isinstance(said, str) else "") or record.status
                report = self._report(upgrade_id, found, status, name_of(call))
                self._store(self._look_at([report]))
            else:
                self._store({upgrade_id: replace(record, absences=record.absences + 1)})

    def _finish(self) -> SlotRecord:
        self._tools.turn.check()
        now_ms, started_ms = self._tools.clock_ms(), self._progress.started_ms
        counts = tally(
            self._tools.store.all_upgrades(self._slot),
            sweep_ms=started_ms,
            distance_ms=self._conditions.distance_ms,
        )
        self._record = replace(
            self._record,
            baseline_ms=self._baseline_ms(),
            swept_ms=started_ms,
            second_look_ms=counts.second_look_ms,
            retry_ms=0,
            refusals=0,
            problem="",
            progress=None,
            upgrades=counts.upgrades,
            kinds=counts.kinds,
        )
        forgotten = (
            upgrade_id
            for upgrade_id, record in self._tools.store.all_upgrades(self._slot)
            if record.sweep_ms < now_ms - FORGET_MS
        )
        self._save(dict.fromkeys(forgotten))
        return self._record

    def _baseline_ms(self) -> int:
        if not self._conditions.is_baseline:
            return self._record.baseline_ms
        return 0 if self._progress.is_partial else self._progress.started_ms

    def _store(self, upgrades: Mapping[str, UpgradeRecord], **progress: Any) -> None:
        """Stores records and the position in one step."""
        now_ms = self._tools.clock_ms()
        self._progress = replace(self._progress, saved_ms=now_ms, **progress)
        self._record = replace(
            self._record,
            progress=self._progress,
            names_devices=self._tools.evidence.names_devices,
        )
        self._save(upgrades)

    def _save(self, upgrades: Mapping[str, UpgradeRecord | None]) -> None:
        token = self._tools.turn.fencing_token
        self._tools.store.save(self._slot, self._record, upgrades, token)

    def _report_position(self, status: str) -> None:
        self._tools.on_position(
            Position(
                self._slot,
                status,
                len(self._progress.done),
                len(self._api.statuses),
                self._looked,
                self._tools.client.calls,
            )
        )


def _batched(reports: list[Report], size: int) -> Iterator[list[Report]]:
    """The same in parts. (`itertools.batched` is of Python 3.12.)"""
    for begin in range(0, len(reports), size):
        yield reports[begin : begin + size]
