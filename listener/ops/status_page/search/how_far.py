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
    if result.stopped_at is None:
        return HowFar(_whole(result.read, before, now), "", is_full=False)
    read, back = f"{result.read:,}", f"back to {_moment(result.stopped_at, now)}"
    if before is None:
        of = f" of {total:,}" if total > result.read else ""
        sentence = f"Looked at the newest {read}{of} messages, {back}."
    else:
        sentence = f"Looked at {read} messages from {_moment(before, now)} {back}."
    return HowFar(sentence, link(str(result.stopped_at)), len(result.entries) >= matches)


def _whole(read: int, before: Position | None, now: datetime) -> str:
    """What a search says that reached the oldest message, or the oldest that was asked for."""
    older = f" older than {_moment(before, now)}" if before else ""
    if read:
        messages = "the only message" if read == 1 else f"all {read:,} messages"
        return f"Looked at {messages}{older}: this is all there is."
    return f"There is no message{older}." if older else "There is no message in the queue yet."


def _moment(position: Position, now: datetime) -> str:
    return day(entry_time(position.entry_id), now)
