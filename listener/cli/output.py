"""A file that a command writes its lines to, for its owner alone."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from listener.cli import common

STANDARD_OUTPUT = Path("-")

output = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Only you may read it; it is there once it is complete.  [default: -, standard output]",
)
force = click.option("--force", is_flag=True, help="Replace FILE if it exists.")


def checked(chosen: Path | None, replace: bool) -> Path | None:
    """The file that was chosen; None: standard output.

    Raises:
        UsageError: it must not be replaced.
    """
    if chosen is None or chosen == STANDARD_OUTPUT:
        return None
    if os.path.lexists(chosen):
        # A device, a pipe or a link would become a file that is there in its place.
        if chosen.is_symlink() or not chosen.is_file():
            raise click.UsageError(f"{chosen} is no ordinary file: write to - and redirect it")
        if not replace:
            raise click.UsageError(f"{chosen} exists: choose another name, or add --force")
    return chosen


@contextmanager
def opened(chosen: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that takes its name only once it is complete."""
    if chosen is None:
        yield sys.stdout
        return
    try:
        temporary = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed before it is renamed)
            "w", dir=chosen.parent, prefix=f".{chosen.name}.", encoding="utf-8", newline="",
            errors="backslashreplace", delete=False,
        )  # fmt: skip
    except OSError as error:
        common.fail(f"{chosen} cannot be written: {error.strerror}")
    try:
        with temporary:
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(temporary.name).replace(chosen)
    except OSError as error:
        common.fail(f"{chosen} cannot be written: {error.strerror}")
    finally:
        Path(temporary.name).unlink(missing_ok=True)
