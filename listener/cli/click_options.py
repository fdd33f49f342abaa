"""The options that several commands share, and the file that `--output` names."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from listener.cli import common
from listener.inspection.entry_filter import DeviceId, normalized
from listener.messages.kinds import KIND_NAMES

STANDARD_OUTPUT = Path("-")

Decorator = Callable[[Any], Any]


def _read_device(_: click.Context, __: click.Parameter, text: str | None) -> DeviceId | None:
    try:
        return None if text is None else DeviceId.read(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _read_upgrade(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    key = None if text is None else normalized(text)
    if key == "":
        raise click.BadParameter("must be an upgrade's id, or its beginning")
    return key


def read_text(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """The text of an option; None: it was not given. Raises BadParameter for an empty one.

    A shell variable that is not set gives an empty text, and a filter without a text would let
    everything pass.
    """
    if text is not None and not text.strip():
        raise click.BadParameter("must not be empty")
    return text


def read_ids(_: click.Context, __: click.Parameter, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The ids of an argument, each once: a second one would find that its work is done."""
    return tuple(dict.fromkeys(ids))


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for pipes.")
yes = click.option("--yes", is_flag=True, help="Do not ask.")
partition = click.option(
    "--partition", type=click.IntRange(0), metavar="N", help="Only what is in this partition."
)
every = click.option("--all", "every", is_flag=True, help="All that there are now.")
required_group = click.option("--group", "-g", required=True, metavar="GROUP", help="The group.")
optional_group = click.option(
    "--group", "-g", metavar="GROUP", help="Only this consumer group.  [default: all]"
)
kinds = click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KIND_NAMES),
    help="Only messages of this kind; may be repeated.",
)
account = click.option(
    "--account", metavar="ACCOUNT", callback=read_text, help="Only messages of this account."
)
upgrade = click.option(
    "--upgrade",
    metavar="ID",
    callback=_read_upgrade,
    help="Only messages of this upgrade; the beginning of its id will do.",
)
device = click.option(
    "--device",
    metavar="ID",
    callback=_read_device,
    help="Only messages that name this device: its IMEI in any spelling, or another id.",
)
dry_run = click.option("--dry-run", is_flag=True, help="Only show what it means.")
limit = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"At most so many, the oldest.  [default: {common.MAX_TABLE_ROWS}; all with --json]",
)
at_most = click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="At most N, the oldest."
)
since = click.option(
    "--since",
    "--from",
    metavar="TIME|ID",
    callback=read_text,
    help="Only those of this time or later: a time such as 2026-11-23T08:00 (UTC), an age such as 2h, or an id.",
)


def selecting(*filters: Decorator) -> Decorator:
    """The options that choose what a command works on: ids, `--all`, the given filters, and those that all such commands have."""

    def decorate(command: Any) -> Any:
        argument = click.argument("entry_ids", metavar="[ID]...", nargs=-1, callback=read_ids)
        for option in reversed((argument, every, *filters, since, at_most, dry_run, yes)):
            command = option(command)
        return command

    return decorate


output = click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Only you may read it; it is there once it is complete.  [default: -, standard output]",
)
force = click.option("--force", is_flag=True, help="Replace FILE if it exists.")


def output_path(chosen: Path | None, replace: bool) -> Path | None:
    """The file that `--output` names; None: standard output.

    Raises:
        UsageError: it must not be replaced.
    """
    if chosen is None or chosen == STANDARD_OUTPUT:
        return None
    if os.path.lexists(chosen):
        # Renaming the complete file would replace a device, a pipe or a link itself.
        if chosen.is_symlink() or not chosen.is_file():
            raise click.UsageError(f"{chosen} is no ordinary file: write to - and redirect it")
        if not replace:
            raise click.UsageError(f"{chosen} exists: choose another name, or add --force")
    return chosen


@contextmanager
def open_output(path: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file for its owner alone that gets its name once it is complete."""
    if path is None:
        yield sys.stdout
        return
    try:
        temporary = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed before it is renamed)
            "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="",
            errors="backslashreplace", delete=False,
        )  # fmt: skip
    except OSError as error:
        common.fail(f"{path} cannot be written: {error.strerror}")
    try:
        with temporary:
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(temporary.name).replace(path)
    except OSError as error:
        common.fail(f"{path} cannot be written: {error.strerror}")
    finally:
        Path(temporary.name).unlink(missing_ok=True)
