"""Pages of lists: the part that a cursor asks for, the next cursor, and the form of an empty result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from sandbox import replies
from sandbox.campaigns.devices import DIGITS
from sandbox.replies import ApiError, Reply
from sandbox.reports.options import ReportOptions

T = TypeVar("T")
Cursor: TypeAlias = int | str
CursorForm: TypeAlias = Literal["record", "number", "text"]
# A document: its lists may be iterators, so that a long one is never held as a whole.
Document: TypeAlias = dict[str, Any]

# [?] How an empty result looks is not documented for any of the lists.
_EMPTY_BODIES: Mapping[str, Reply] = {
    "object": Reply(200, "{}"),
    "null-body": Reply(200, "null"),
    "zero-bytes": Reply(200),
    "no-content": Reply(204),
    "error": replies.NO_RESULT,
}


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some items of a list.

    Attributes:
        more: whether others follow.
        cursor: where the next page begins, or of a last page what the options say; None: it has no cursor.
    """

    items: Sequence[T]
    more: bool
    cursor: Cursor | None


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list that is paged.

    Attributes:
        items: in order; slicing it has to be cheap.
        id_of: an item's id.
        after: the index of the first item behind a given id.
        size: items a page.
        form: what the pages document as the cursor: the number of a record, the last id as a JSON number, or as text.
        integer_form: what it is if all cursors are integers.
    """

    items: Sequence[T]
    id_of: Callable[[T], str]
    after: Callable[[str], int]
    size: int
    form: CursorForm = "text"
    integer_form: CursorForm = "record"

    def page(self, cursor: str, options: ReportOptions) -> Page[T]:
        """The page that a cursor asks for; empty or "0" is the first one.

        Raises:
            ApiError: the cursor is no record number where one is needed, or lies beyond the end.
        """
        start = 0 if options.cursor_stands_still else self._start(cursor or "0", options)
        items = self.items[start : start + self.size]
        if options.cursor_stands_still:
            return Page(items, more=True, cursor=cursor or "0")
        end = start + len(items)
        more = end < len(self.items)
        return Page(items, more, self._cursor(items, end, more=more, options=options))

    def _form(self, options: ReportOptions) -> CursorForm:
        if options.cursors == "integer":
            return self.integer_form
        as_text = options.cursors == "text" and self.form == "number"
        return "text" if as_text else self.form

    def _start(self, cursor: str, options: ReportOptions) -> int:
        if self._form(options) != "record":
            return 0 if cursor == "0" else self.after(cursor)
        if not cursor.isascii() or not cursor.isdigit() or len(cursor) > DIGITS:
            raise ApiError(replies.INDEX)
        start = int(cursor)
        if start and start >= len(self.items) and options.beyond_end == "error":
            raise ApiError(replies.INDEX_BEYOND_END)
        return start

    def _cursor(
        self, items: Sequence[T], end: int, *, more: bool, options: ReportOptions
    ) -> Cursor | None:
        form = self._form(options)
        if not more and options.last_cursor == "absent":
            return None
        last = not items or (not more and options.last_cursor == "zero")
        text = "0" if last else str(end) if form == "record" else self.id_of(items[-1])
        return text if form == "text" or options.cursors == "text" else int(text)


def envelope(
    page: Page[T], items: object, names: Mapping[str, str], options: ReportOptions, **more: Any
) -> Document | Reply:
    """A page as the reply has it.

    Args:
        page: what the listing gave.
        items: the items as the reply has them.
        names: the names of `more`, `cursor` and `items`, in the order of the reply.
        options: the form of an empty page.
        more: members of the reply beside these.
    """
    if not page.items and options.empty in _EMPTY_BODIES:
        return empty(options)
    values: dict[str, object] = {"more": page.more, "cursor": page.cursor, "items": items}
    if not page.items and options.empty == "null":
        values["items"] = None
    absent = {"items"} if not page.items and options.empty == "absent" else set()
    absent |= {"cursor"} if page.cursor is None else set()
    return {**more, **{name: values[role] for role, name in names.items() if role not in absent}}


def empty(options: ReportOptions) -> Reply:
    """An empty list that has no envelope."""
    if options.empty == "list":
        return Reply(200, "[]")
    return _EMPTY_BODIES.get(options.empty, _EMPTY_BODIES["null-body"])
