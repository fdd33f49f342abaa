"""Formats messages as rows of a CSV file in which no cell is a formula to a spreadsheet. Pure.

A sender chooses the text of a cell, and a spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a
formula. The separator decides where a cell begins: if it is `;`, the text `a;=1+1;b` is three cells, even
in quotes. So a sign is made harmless wherever a separator of any kind may stand before it.
"""

import json
import re

from listener.inspection.stream_entry import StreamEntry
from listener.text import escape

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
    "origin",
    "basis",
    "data",
)
# The signs at which a formula begins, with all that Unicode calls compatible with them (full width, small,
# superscript, subscript), and the mathematical minus.
SIGNS = (
    "=+@-"
    "\u207a\u207b\u207c\u208a\u208b\u208c\u2212"
    "\ufb29\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20"
)
# No separator is a letter or a digit: a sign after one is inside a cell, as in a date or an upgrade's id.
OPENING_SIGN = re.compile(rf"(?<![^\W_])[{re.escape(SIGNS)}]")
# Some spreadsheets skip these in front of a formula (ASVS V1.2.10).
SKIPPED = ("\t", "\r", "\n", "\0")
JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def cells(entry: StreamEntry) -> list[str]:
    r"""An entry's row, in the order of `COLUMNS`; empty cells for missing fields.

    Guaranteed: no cell holds a formula, whatever character a spreadsheet takes for the separator,
    unless that is a letter, a digit or `'`; `data` is the same JSON value as before. In `data` a sign that
    could begin a formula stands as `\u003d`; in any other text a `'` stands in front of it. What is
    not printable stands as `\u…`, so that a row is a line.
    """
    fields = entry.fields
    rest = [_text(fields.get(name, "")) for name in COLUMNS[2:-1]]
    return [entry.entry_id, str(entry.partition), *rest, _data(fields.get("data", ""))]


def _text(text: str) -> str:
    start = "'" if text.startswith(SKIPPED) else ""
    return escape(start + OPENING_SIGN.sub(lambda match: f"'{match[0]}", text))


def _data(text: str) -> str:
    if not OPENING_SIGN.search(text):
        return escape(text)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        # An entry that somebody added by hand.
        return _text(text)
    return escape(JSON_STRING.sub(_without_signs, text))


def _without_signs(string: re.Match[str]) -> str:
    return OPENING_SIGN.sub(lambda match: f"\\u{ord(match[0]):04x}", string[0])
