"""One search as a page makes it: from the position in its address, with the sentence that says how far it looked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import request

from listener.inspection.search.backward_search import FIELDS, Limits, SearchResult
from listener.inspection.search.conditions import Position, Wanted
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.page_context import PageContext, fail
from listener.ops.status_page.search.how_far import HowFar, how_far
from listener.ops.status_page.search.search_request import read_position

PAGE_ROWS = 50
# In an address: whether a search was continued before it found anything, so that what it finds is the newest.
NOTHING_NEWER = "first"


@dataclass(frozen=True)
class FoundOnPage:
    """What a page's search found.

    Attributes:
        now: the time by Redis's clock.
        is_newest: whether nothing newer was found.
    """

    now: datetime
    result: SearchResult
    far: HowFar
    is_newest: bool


def position_asked() -> Position | None:
    """The position in the page's address; ends the request with 400 if it has another form."""
    try:
        return read_position(request.args.get("before", ""))
    except ValueError as problem:
        fail(400, "This cannot be searched for", str(problem))


def search_for_page(
    context: PageContext,
    wanted: Wanted,
    link: Callable[..., str],
    *,
    matches: int = PAGE_ROWS,
    fields: Sequence[str] = FIELDS,
    take: Callable[[Sequence[StreamEntry]], None] | None = None,
) -> FoundOnPage:
    """Searches from the position in the page's address; ends the request if that fails.

    Args:
        context: the page's.
        wanted: what is searched for.
        link: makes an address of the same page, given further parameters of it.
        matches: how many are found at most.
        fields: as of `BackwardSearch.run`; so is `take`.
        take: gets the entries.
    """
    before = position_asked()
    is_newest = before is None or request.args.get(NOTHING_NEWER) == "1"
    with context.queue() as view:
        now, total = view.now(), sum(stream.entries for stream in view.streams)
        result = context.search.run(
            view.client, view.partitions, wanted,
            before=before, limits=Limits(matches=matches), fields=fields, take=take,
        )  # fmt: skip
    is_without = is_newest and not result.entries

    def go_on(position: str) -> str:
        return link(before=position, **({NOTHING_NEWER: "1"} if is_without else {}))

    far = how_far(result, before=before, total=total, now=now, link=go_on, matches=matches)
    return FoundOnPage(now, result, far, is_newest)
