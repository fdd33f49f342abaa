"""Prints tables for people; colours and the terminal's width only on a terminal."""

import sys
from collections.abc import Sequence
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from listener.text import clean

PIPE_WIDTH = 160


class Screen(Console):
    """Prints on the current standard output."""

    def __init__(self, **options: Any) -> None:
        # Into a pipe or a file there is no terminal whose width would matter.
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        super().__init__(width=width, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Leaves the error to `common.Commands`."""
        raise BrokenPipeError


def new_table(
    *columns: str, right_aligned: Sequence[str] = (), no_wrap: Sequence[str] = ()
) -> Table:
    """An empty table.

    Args:
        columns: their names.
        right_aligned: the columns of numbers.
        no_wrap: the columns of ids, which stay on one line on every terminal: an id is to be copied
            into the next command.
    """
    # Narrow, so that most tables fit a terminal of 80 columns.
    table = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right_aligned else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=name in no_wrap)
    return table


def add_row(table: Table, *cells: object) -> None:
    """Adds a row of plain texts: rich must not read a stranger's text as markup."""
    table.add_row(*(Text(clean(cell)) for cell in cells))
