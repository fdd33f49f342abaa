"""The rows of a table of messages, and the sentence that says how far a search looked. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from listener.inspection.search.backward_search import SearchResult
from listener.inspection.search.conditions import Position
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.formats import arrival, day, summary
from listener.ops.status_page.links import device_link, message_link, upgrade_link
from listener.ops.status_page.message_content import device_ids
from listener.times import entry_time


@dataclass(frozen=True)
class MessageRow:
    """One message.

    Attributes:
        time: when it arrived; None: unknown.
        device: the device that it names; empty if it names none or several.
        device_link: empty if no page can be about it; so is `upgrade_link`.
        says: its details on one line, but for the device.
    """

    time: datetime | None
    kind: str
    link: str
    entry_id: str
    upgrade: str
    upgrade_link: str
    device: str
    device_link: str
    says: str
    account: str


def message_row(entry: StreamEntry) -> MessageRow:
    """The row of a message."""
    fields, devices = entry.fields, device_ids(entry)
    device = devices[0] if len(devices) == 1 else ""
    return MessageRow(
        time=arrival(entry),
        kind=fields.get("kind", "?"),
        link=message_link(entry),
        entry_id=entry.entry_id,
        upgrade=fields.get("subject", ""),
        upgrade_link=upgrade_link(fields.get("subject", "")),
        device=device,
        device_link=device_link(device),
        says=summary(entry, without=f"device {device}"),
        account=fields.get("account", ""),
    )


def only_one(texts: Iterable[str]) -> str:
    """The text that all have; empty if they differ: what all rows share is said once."""
    different = set(texts)
    return different.pop() if len(different) == 1 else ""


@dataclass(frozen=True)
class HowFar:
    """How far a search looked, and where it continues.

    Attributes:
        sentence: for people.
        go_on: the address of what is older; empty if there is nothing.
        is_full: whether it stopped because it found enough; otherwise it ran out of time, or is over.
    """

    sentence: str
    go_on: str
    is_full: bool


def how_far(
    result: SearchResult,
    *,
    before: Position | None,
    total: int,
    now: datetime,
    link: Callable[[str], str],
    matches: int,
) -> HowFar:
    """Describes a search.

    Args:
        result: what it found.
        before: where it began; None: at the newest message.
        total: the number of messages in the queue.
        now: the time of day.
        link: makes an address of the position from which it continues.
        matches: how many it was to find at most.
    """
    read = f"{result.read:,}"
    if result.stopped_at is None:
        start = f" older than {_moment(before, now)}" if before else ""
        sentence = f"All {read} messages{start} were looked at: this is all there is."
        return HowFar(sentence, "", is_full=False)
    back = f"back to {_moment(result.stopped_at, now)}"
    if before is None:
        of = f" of {total:,}" if total > result.read else ""
        sentence = f"Looked at the newest {read}{of} messages, {back}."
    else:
        sentence = f"Looked at {read} messages from {_moment(before, now)} {back}."
    return HowFar(sentence, link(str(result.stopped_at)), len(result.entries) >= matches)


def _moment(position: Position, now: datetime) -> str:
    return day(entry_time(position.entry_id), now)


@dataclass(frozen=True)
class UpgradeSums:
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


def sum_up(entries: Sequence[StreamEntry]) -> list[UpgradeSums]:
    """The upgrades that messages are about, in the order of their newest messages.

    Args:
        entries: the newest first.
    """
    sums: dict[str, UpgradeSums] = {}
    for entry in entries:
        fields = entry.fields
        if subject := fields.get("subject"):
            new = UpgradeSums(subject, fields.get("account", ""), entry, {})
            counts = sums.setdefault(subject, new).counts
            counts[fields["kind"]] = counts.get(fields["kind"], 0) + 1
    return list(sums.values())
