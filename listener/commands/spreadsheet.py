"""Messages as the rows of a CSV file. Pure."""

from listener.lines import escaped
from listener.queue.reader import Entry

COLUMNS = (
    "entry",
    "partition",
    "time",
    "kind",
    "account",
    "subject",
    "id",
    "type",
    "source",
    "requestid",
    "data",
)
# Spreadsheets take a cell that begins so for a formula, and a sender chooses what stands in it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def cells(entry: Entry) -> list[str]:
    r"""An entry's row, in the order of `COLUMNS`; what it has not is empty.

    A text that a spreadsheet would take for a formula gets a `'` in front; what is not printable
    stands as `\u…`, so that a row is a line.
    """
    fields = entry.fields
    rest = (fields.get(name, "") for name in COLUMNS[2:])
    return [entry.entry_id, str(entry.partition), *map(_cell, rest)]


def _cell(text: str) -> str:
    return escaped(f"'{text}" if text.startswith(FORMULA) else text)
