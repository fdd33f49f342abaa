"""Tables for people, as plain values; `listener.cli.render.screen` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from listener.text import clean


@dataclass
class Table:
    """A table to be filled.

    Attributes:
        columns: their names.
        right_aligned: the columns of numbers.
        no_wrap: the columns of ids, which stay on one line on every terminal: an id is to be copied
            into the next command.
        rows: texts that cannot steer a terminal.
    """

    columns: Sequence[str]
    right_aligned: Sequence[str] = ()
    no_wrap: Sequence[str] = ()
    rows: list[list[str]] = field(default_factory=list)

    def add_row(self, *cells: object) -> None:
        """Adds a row; a cell may hold a stranger's text."""
        self.rows.append([clean(cell) for cell in cells])

    def print(self) -> None:
        """Prints it on the current standard output."""
        from listener.cli.render import screen  # noqa: PLC0415 (see there)

        screen.print_parts([self])
