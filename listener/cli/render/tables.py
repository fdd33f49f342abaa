"""Tables for people; colours and the terminal's width only on a terminal."""

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
    """Prints on what is standard output."""

    def __init__(self, **options: Any) -> None:
        """Writes to what is standard output now."""
        # Into a pipe or a file there is no terminal whose width would matter.
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        super().__init__(width=width, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Leaves it to `shell.Commands`."""
        raise BrokenPipeError


def table(*columns: str, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """An empty table.

    Args:
        columns: their names.
        right: those that hold numbers.
        whole: those that are not broken into lines however narrow the terminal is: an id is to be
            copied into the next command.
    """
    # Narrow, so that most tables fit a terminal of 80 columns.
    made = Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        made.add_column(name, justify=justify, overflow="fold", no_wrap=name in whole)
    return made


def row(made: Table, *cells: object) -> None:
    """Adds a row: as texts, because what somebody else wrote must not be read as markup."""
    made.add_row(*(Text(clean(cell)) for cell in cells))
