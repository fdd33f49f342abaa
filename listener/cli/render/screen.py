"""Draws on the terminal with rich: tables, findings, figures that change, progress.

Commands import it only where they draw, because it takes as long to import as everything else of
a command. A command that prints JSON or an error does not need it.
"""

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import rich.table
from rich import box
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from listener.cli.render.tables import Table
from listener.diagnostics.finding import Finding
from listener.text import clean

# Into a pipe or a file there is no terminal whose width would matter: each row is a line.
PIPE_WIDTH = 10_000
COLUMN_GAP = 2
INDENT = "  "
# No text in a table has one: it is not printable.
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
# Narrower, a column of sentences is not worth reading.
MIN_PROSE_WIDTH = 16
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}

Part = Table | str
"""What is drawn below one another."""


class Screen(Console):
    """Prints on the current standard output; colours and the terminal's width only on a terminal."""

    def __init__(self, **options: Any) -> None:
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        super().__init__(width=width, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Leaves the error to `CommandGroup`."""
        raise BrokenPipeError


def print_parts(parts: Sequence[Part]) -> None:
    """Prints tables and texts below one another."""
    console = Screen()
    # A line without a place to break it is left to the terminal, which keeps it in one piece.
    console.print(_group(console, parts), crop=False)


def print_live(readings: Iterator[Sequence[Part]]) -> None:
    """Prints each reading; on a terminal in place of the one before."""
    console = Screen()
    if console.is_terminal:
        with Live(_group(console, next(readings)), console=console, auto_refresh=False) as display:
            for parts in readings:
                display.update(_group(console, parts), refresh=True)
    else:
        for parts in readings:
            console.print(_group(console, parts))


def print_finding(finding: Finding) -> None:
    """Prints a finding, and its advice below."""
    console = Screen()
    level = Text(f"{finding.level:<8}", STYLES[finding.level])
    text = clean(f"{finding.topic}: {finding.text}")
    console.print(Text.assemble(level, text), soft_wrap=True)
    if finding.advice:
        console.print(Text(f"        {clean(finding.advice)}"), soft_wrap=True)


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal.

    Yields:
        A function that takes how much of `total` is done, and how many messages were read.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[read]} messages read"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total, read=0)

        def update(completed: int, read: int) -> None:
            progress.update(task, completed=completed, read=read)

        yield update


def _group(console: Console, parts: Sequence[Part]) -> Group:
    return Group(
        *(
            renderable
            for part in parts
            for renderable in ([part] if isinstance(part, str) else _drawn(console, part))
        )
    )


def _drawn(console: Console, table: Table) -> Iterator[RenderableType]:
    """What all rows share, and the rest: as a table or, where that does not fit, row below row."""
    if shared := table.shared():
        yield from _facts(f"The same in all {len(table.rows)}: ", table, shared, console.width)
        yield ""
        table = table.without(tuple(shared))
    widths = [_least_width(table, at) for at in range(len(table.columns))]
    if sum(widths) + COLUMN_GAP * (len(widths) - 1) <= console.width:
        yield _rich_table(table, widths)
    else:
        yield from _records(table, console.width)


def _least_width(table: Table, at: int) -> int:
    """The least width of a column in which prose alone is broken, and that between words: one may be an id."""
    cells = [table.columns[at], *(row[at] for row in table.rows)]
    widest = max(map(cell_len, cells))
    if table.columns[at] not in table.prose:
        return widest
    longest_word = max(cell_len(word) for cell in cells for word in cell.split(" "))
    return max(longest_word, min(widest, MIN_PROSE_WIDTH))


def _rich_table(table: Table, widths: Sequence[int]) -> rich.table.Table:
    # Narrow, so that most tables fit a terminal of 80 columns.
    drawn = rich.table.Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for name, width in zip(table.columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if name in table.right_aligned else "left"
        no_wrap = name not in table.prose
        drawn.add_column(name, justify=justify, overflow="fold", no_wrap=no_wrap, min_width=width)
    for row in table.rows:
        # As plain texts: rich must not read a stranger's text as markup.
        drawn.add_row(*map(Text, row))
    return drawn


def _records(table: Table, width: int) -> Iterator[RenderableType]:
    """Each row by itself: its name, and below it the other columns."""
    for first, *cells in table.rows:
        yield Text(f"{table.columns[0]} {first}", "bold", no_wrap=True, overflow="ignore")
        yield from _facts(INDENT, table, dict(zip(table.columns[1:], cells, strict=True)), width)


def _facts(start: str, table: Table, facts: Mapping[str, str], width: int) -> Iterator[Text]:
    """Names and values in lines that are broken between two facts, or between the words of prose."""
    values = (
        f"{name} ".replace(" ", NO_BREAK_SPACE)
        + (value if name in table.prose else value.replace(" ", NO_BREAK_SPACE))
        for name, value in facts.items()
    )
    lines = textwrap.wrap(
        start + "; ".join(values),
        width,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        yield Text(line.replace(NO_BREAK_SPACE, " "), no_wrap=True, overflow="ignore")
