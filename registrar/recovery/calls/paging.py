"""Goes through the pages of a list, and ends in every case. Pure but for what fetches a page."""

from collections.abc import Callable, Iterator

from registrar.errors import RejectedError
from registrar.recovery.calls.api import FIRST_CURSOR
from registrar.recovery.calls.refusals import says_end
from registrar.recovery.calls.replies import Page

MAX_PAGES = 10_000


def pages(fetch: Callable[[str], Page], cursor: str = FIRST_CURSOR) -> Iterator[tuple[str, Page]]:
    """Every page of a list, with the cursor that it was asked by.

    The list ends with the first page that names no next one. It ends, too, where the provider would let us go round: at
    a cursor that was there before, at an empty page, after `MAX_PAGES`; and where it refuses a further page and says
    that the index is beyond the end [doc].

    Args:
        fetch: asks for the page at a cursor.
        cursor: where to begin.

    Raises:
        RegistrarError: what `fetch` raises, but for such a refusal: the list was not read to its end.
    """
    asked = {cursor}
    for _ in range(MAX_PAGES):
        try:
            page = fetch(cursor)
        except RejectedError as refusal:
            if cursor != FIRST_CURSOR and says_end(refusal):
                return
            raise
        yield cursor, page
        if not page.items or page.next_cursor is None or page.next_cursor in asked:
            return
        cursor = page.next_cursor
        asked.add(cursor)
