"""The page of an upgrade: how far it is, its devices and its messages; and the page of all upgrades."""

from functools import partial

from listener.inspection.entry_filter import EntryFilter
from listener.inspection.search.backward_search import Limits
from listener.inspection.search.conditions import Position, Wanted
from listener.messages.kinds import KINDS
from listener.ops.status_page.links import link, upgrade_link
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.ops.status_page.search.page_search import (
    PAGE_ROWS,
    FoundOnPage,
    position_asked,
    search_for_page,
)
from listener.ops.status_page.search.rows import message_rows, only_one, shared_account
from listener.ops.status_page.search.search_request import read_upgrade
from listener.ops.status_page.search.upgrade_sums import UpgradeSums
from listener.ops.status_page.upgrades import Upgrade, devices_by_urgency, track_in_thread

# How many of an upgrade's messages its devices are read from.
MAX_UPGRADE_MESSAGES = 5_000
MAX_DEVICE_ROWS = 100
MAX_UPGRADES = 200
# Which messages are about an upgrade; the list of upgrades needs none of their data.
UPGRADE_KINDS = tuple(kind.name for kind in KINDS if kind.stage)
LIST_FIELDS = ("time", "kind", "account", "subject")


def upgrade_page(context: PageContext, text: str) -> str:
    """How far an upgrade is."""
    try:
        wanted = Wanted(subject=read_upgrade(text))
    except ValueError as problem:
        fail(404, "No upgrade has this id", str(problem))
    is_first = position_asked() is None
    matches = MAX_UPGRADE_MESSAGES if is_first else PAGE_ROWS
    found = search_for_page(context, wanted, partial(upgrade_link, text), matches=matches)
    entries = found.result.entries
    shown, upgrade = entries[:PAGE_ROWS], _upgrade(text, found)
    devices = devices_by_urgency(upgrade) if upgrade else []
    rows = message_rows(shown)
    older = str(Position.of(shown[-1])) if len(entries) > len(shown) else ""
    return render(
        "upgrade.html", found.now, id=text, upgrade=upgrade, rows=rows, far=found.far,
        messages_read=len(entries), older=upgrade_link(text, before=older) if older else "",
        newest="" if is_first else upgrade_link(text),
        devices=[
            (device, stage, row)
            for (device, stage, _), row in zip(
                devices[:MAX_DEVICE_ROWS],
                message_rows(entry for _, _, entry in devices[:MAX_DEVICE_ROWS]),
                strict=True,
            )
        ],
        device_count=len(devices), account=shared_account(rows, found.far, is_continued=not is_first),
    )  # fmt: skip


def _upgrade(text: str, found: FoundOnPage) -> Upgrade | None:
    """The upgrade as its newest messages have it; None if these are not its newest, or there are none."""
    if not found.is_newest:
        return None
    complete = found.result.stopped_at is None
    upgrades = track_in_thread(found.result.entries, complete=complete)
    # A message of an unknown kind may name it and be about another one.
    return next((upgrade for upgrade in upgrades if upgrade.id == text), next(iter(upgrades), None))


def upgrades_page(context: PageContext) -> str:
    """All upgrades, by their newest messages."""
    sums = UpgradeSums(MAX_UPGRADES)
    found = search_for_page(
        context, Wanted(EntryFilter(kinds=UPGRADE_KINDS)), partial(link, "/upgrades"),
        matches=Limits.entries, fields=LIST_FIELDS, take=sums.add,
    )  # fmt: skip
    return render(
        "upgrades.html", found.now, sums=sums.upgrades, more=sums.others, far=found.far,
        kinds=UPGRADE_KINDS, newest="/upgrades" if position_asked() else "",
        account=only_one(upgrade.account for upgrade in sums.upgrades),
    )  # fmt: skip
