"""Draws on the terminal with rich: tables, findings, figures that change, progress.

Commands import it only where they draw, because it takes as long to import as everything else of
a command. A command that prints JSON or an error does not need it.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import rich.table
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from listener.cli.render.tables import Table
from listener.diagnostics.finding import Finding
from listener.text import clean

PIPE_WIDTH = 160
STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}

Part = Table | str
"""What is drawn below one another."""


class Screen(Console):
    """Prints on the current standard output; colours and the terminal's width only on a terminal."""

    def __init__(self, **options: Any) -> None:
        # Into a pipe or a file there is no terminal whose width would matter.
        width = None if sys.stdout.isatty() else PIPE_WIDTH
        super().__init__(width=width, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Leaves the error to `CommandGroup`."""
        raise BrokenPipeError


def print_parts(parts: Sequence[Part]) -> None:
    """Prints tables and texts below one another."""
    Screen().print(_group(parts))


def print_live(readings: Iterator[Sequence[Part]]) -> None:
    """Prints each reading; on a terminal in place of the one before."""
    console = Screen()
    if console.is_terminal:
        with Live(_group(next(readings)), console=console, auto_refresh=False) as display:
            for parts in readings:
                display.update(_group(parts), refresh=True)
    else:
        for parts in readings:
            console.print(_group(parts))


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


def _group(parts: Sequence[Part]) -> Group:
    return Group(*(part if isinstance(part, str) else _rich_table(part) for part in parts))


def _rich_table(table: Table) -> rich.table.Table:
    # Narrow, so that most tables fit a terminal of 80 columns.
    drawn = rich.table.Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for name in table.columns:
        justify: Literal["left", "right"] = "right" if name in table.right_aligned else "left"
        drawn.add_column(name, justify=justify, overflow="fold", no_wrap=name in table.no_wrap)
    for row in table.rows:
        # As plain texts: rich must not read a stranger's text as markup.
        drawn.add_row(*map(Text, row))
    return drawn
