"""Tables for people, as plain values; `listener.cli.render.screen` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from listener.text import clean


@dataclass
class Table:
    """A table to be filled.

    Attributes:
        columns: their names; the first is that of the row's name, mostly an id.
        right_aligned: the columns of numbers.
        prose: the columns of sentences, which may be broken on a narrow terminal. All others hold ids,
            times and words that are copied into the next command: they are never broken.
        once: the columns that are left out if all rows, two at the least, have the same value there;
            that value then stands above the table.
        rows: texts that cannot steer a terminal.
    """

    columns: Sequence[str]
    right_aligned: Sequence[str] = ()
    prose: Sequence[str] = ()
    once: Sequence[str] = ()
    rows: list[list[str]] = field(default_factory=list)

    def add_row(self, *cells: object) -> None:
        """Adds a row; a cell may hold a stranger's text."""
        self.rows.append([clean(cell) for cell in cells])

    def shared(self) -> dict[str, str]:
        """The columns of `once` that have the same value in all rows, and that value."""
        if len(self.rows) < 2:
            return {}
        values = {name: {row[at] for row in self.rows} for at, name in enumerate(self.columns)}
        return {name: min(values[name]) for name in self.once if len(values[name]) == 1}

    def without(self, left_out: Sequence[str]) -> "Table":
        """The same table without some of its columns."""
        kept = [at for at, name in enumerate(self.columns) if name not in left_out]
        rows = [[row[at] for at in kept] for row in self.rows]
        return replace(self, columns=[self.columns[at] for at in kept], rows=rows)

    def print(self) -> None:
        """Prints it on the current standard output."""
        from listener.cli.render import screen  # noqa: PLC0415 (see there)

        screen.print_parts([self])
