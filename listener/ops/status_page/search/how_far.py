"""The sentence that says how far a search looked, and the address at which it goes on. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from listener.inspection.search.backward_search import SearchResult
from listener.inspection.search.conditions import Position
from listener.ops.status_page.formats import day
from listener.times import entry_time


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
    oldest: str = "-",
) -> HowFar:
    """Describes a search.

    Args:
        result: what it found.
        before: where it began; None: at the newest message.
        total: the number of messages in the queue.
        now: the time of day.
        link: makes an address of the position from which it continues.
        matches: how many it was to find at most.
        oldest: the entry id at which it was to end; `-`: the oldest message.
    """
    if result.stopped_at is None:
        sentence = _whole(result.read, total, _range(before, oldest, now), is_bounded=oldest != "-")
        return HowFar(sentence, "", is_full=False)
    read, back = f"{result.read:,}", f"back to {_moment(result.stopped_at, now)}"
    if before is None:
        of = f" of {total:,}" if total > result.read else ""
        sentence = f"Looked at the newest {read}{of} messages, {back}."
    else:
        sentence = f"Looked at {read} messages from {_moment(before, now)} {back}."
    return HowFar(sentence, link(str(result.stopped_at)), len(result.entries) >= matches)


def _range(before: Position | None, oldest: str, now: datetime) -> str:
    """Which messages a search was to look at, in words that follow "messages"; empty: all."""
    since = day(entry_time(oldest), now) if oldest != "-" else ""
    if before is None:
        return f" since {since}" if since else ""
    until = _moment(before, now)
    return f" between {since} and {until}" if since else f" older than {until}"


def _whole(read: int, total: int, which: str, *, is_bounded: bool) -> str:
    """What a search says that reached the oldest message, or the oldest that was asked for."""
    if read:
        messages = "the only message" if read == 1 else f"all {read:,} messages"
        # What is older than the oldest that was asked for may be there.
        return f"Looked at {messages}{which}{'' if is_bounded else ': this is all there is'}."
    if not which or (is_bounded and not total):
        return "There is no message in the queue yet."
    return f"There is no message{which}."


def _moment(position: Position, now: datetime) -> str:
    return day(entry_time(position.entry_id), now)
