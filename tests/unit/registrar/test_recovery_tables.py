"""When a slot is swept, when paging ends, what a gap is, and what a report's states prove."""

from collections.abc import Callable

import pytest

from registrar.errors import RejectedError
from registrar.model import Slot
from registrar.recovery.calls.paging import pages
from registrar.recovery.calls.replies import Page
from registrar.recovery.gaps import GapWatch, Lost, Rising
from registrar.recovery.judging.due import due_kinds, due_kinds_of_device
from registrar.recovery.records.slot_record import Progress, SlotRecord
from registrar.recovery.schedule import FIRST_DELAY_MS, GAP_DELAY_MS, next_sweep

SLOT = Slot("0242078689-00001", "v1")
DAY = 24 * 3600 * 1000
NOW = 1_800_000_000_000
SCHEDULED, STARTED, FINISHED = "upgrade-scheduled", "upgrade-started", "upgrade-finished"
SWEPT = SlotRecord(baseline_ms=NOW - DAY, swept_ms=NOW - DAY)


@pytest.mark.parametrize(
    ("record", "gap_ms", "cause", "earliest", "latest"),
    [
        (SlotRecord(), 0, "baseline", NOW + FIRST_DELAY_MS, NOW + FIRST_DELAY_MS),
        (SWEPT, 0, "interval", NOW + FIRST_DELAY_MS, NOW + DAY // 10),
        (SlotRecord(1, NOW), NOW + 5, "gap", NOW + 5 + GAP_DELAY_MS, NOW + 5 + GAP_DELAY_MS),
        (SlotRecord(1, NOW), NOW - 5, "interval", NOW + DAY, NOW + DAY * 11 // 10),
        (SlotRecord(1, NOW, NOW + 10**6), 0, "second-look", NOW + 10**6, NOW + 10**6),
        (SlotRecord(1, NOW, 0, NOW + 10**6), 0, "resumed", NOW + 10**6, NOW + 10**6),
        (
            SlotRecord(progress=Progress(NOW - 5, "gap")),
            0,
            "gap",
            NOW + FIRST_DELAY_MS,
            NOW + FIRST_DELAY_MS,
        ),
    ],
)
def test_next_sweep(
    record: SlotRecord, gap_ms: int, cause: str, earliest: int, latest: int
) -> None:
    found = next_sweep(SLOT, record, now_ms=NOW, started_ms=NOW, interval_ms=DAY, gap_ms=gap_ms)
    assert found.cause == cause
    assert earliest <= found.at_ms <= latest


def fetcher(*found: Page | Exception) -> Callable[[str], Page]:
    left = list(found)

    def fetch(_: str) -> Page:
        page = left.pop(0)
        if isinstance(page, Exception):
            raise page
        return page

    return fetch


ITEM = ({"id": "a"},)


@pytest.mark.parametrize(
    ("found", "count"),
    [
        ((Page(),), 1),
        ((Page(ITEM),), 1),
        ((Page(ITEM, "1"), Page(ITEM)), 2),
        ((Page(ITEM, "0"),), 1),
        ((Page(ITEM, "1"), Page(ITEM, "2"), Page(ITEM, "1")), 3),
        ((Page(ITEM, "1"), Page((), "2")), 2),
        ((Page(ITEM, "1"), RejectedError("rejected", "Invalid index value")), 1),
    ],
)
def test_paging_ends(found: tuple[Page | Exception, ...], count: int) -> None:
    assert len(list(pages(fetcher(*found)))) == count


def test_refusal_of_the_first_page_is_a_refusal_of_the_list() -> None:
    with pytest.raises(RejectedError):
        list(pages(fetcher(RejectedError("rejected"))))


class Notes:
    """What is noted, in memory."""

    def __init__(self) -> None:
        self.alive = 0
        self.gaps: list[int] = []

    def note_alive(self, now_ms: int) -> int:
        before, self.alive = self.alive, now_ms
        return before

    def note_gap(self, now_ms: int) -> None:
        self.gaps.append(now_ms)


def test_service_that_was_down_is_a_gap_and_a_first_start_is_none() -> None:
    notes = Notes()
    watch = GapWatch(notes, {})
    for now in (NOW, NOW + 15_000, NOW + 400_000, NOW + 415_000):
        watch.note(now)
    assert notes.gaps == [NOW + 400_000]


def test_refusals_and_a_listener_that_is_gone_are_gaps() -> None:
    counts, ready = iter((5.0, 5.0, 7.0, 7.0)), iter((False, True, False))
    rising, lost = Rising(lambda: next(counts)), Lost(lambda: next(ready))
    assert [rising() for _ in range(3)] == [False, True, False]
    assert [lost() for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("version", "status", "kinds"),
    [
        ("v1", "RequestPending", set()),
        ("v1", "Queued", {SCHEDULED}),
        ("v1", "InProgress", {SCHEDULED, STARTED}),
        ("v1", "Finished", {SCHEDULED, STARTED, FINISHED}),
        ("v1", "UpgradeFailed", set()),
        ("v2", "CampaignScheduled", {SCHEDULED}),
        ("v3", "CampaignEnded", {SCHEDULED, FINISHED}),
        ("v3", "CampaignAborted", set()),
        ("v3", "a word of tomorrow", set()),
    ],
)
def test_states_prove_messages_due(version: str, status: str, kinds: set[str]) -> None:
    assert due_kinds(version, status) == kinds


@pytest.mark.parametrize(
    ("version", "device", "kinds"),
    [
        ("v1", {"status": "UpgradeSuccess"}, {STARTED, FINISHED}),
        ("v2", {"status": "UpgradeSuccess"}, {FINISHED}),
        ("v3", {"status": "Upgrade Failed"}, {FINISHED}),
        ("v3", {"status": "UpgradePending", "recentAttemptTime": "2026-11-01"}, {STARTED}),
        ("v1", {"status": "Device Accepted"}, set()),
        ("v1", {}, set()),
    ],
)
def test_states_of_devices_prove_messages_due(
    version: str, device: dict[str, str], kinds: set[str]
) -> None:
    assert due_kinds_of_device(version, device) == kinds
