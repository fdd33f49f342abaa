"""Prints what `status` collected, for people.

The command imports it only where it draws, because rich takes long to import.
"""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from registrar.status import Report
from registrar.url_display import printable

PIPE_WIDTH = 160


def screen() -> Console:
    """Standard output; into a pipe or a file there is no terminal whose width would matter."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def show(report: Report, console: Console) -> None:
    """Prints a report."""
    table = Table("account", "registered", "ours", "since", "last tick", "result")
    for column in table.columns:
        column.overflow = "fold"
    for row in report.rows:
        table.add_row(*map(plain, row.columns()))
    console.print(table)
    for line in report.lines():
        console.print(plain(line), soft_wrap=True)


def plain(text: str) -> Text:
    """A text that is no markup to the table and no command to the terminal.

    The last tick's observation comes from Redis, where others can write: a web worker that was broken into, for one.
    """
    return Text(printable(text))
