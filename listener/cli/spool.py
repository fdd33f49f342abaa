"""`spool`: lists, shows, exports, retries and deletes the messages on this host's disk."""

import os
import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import click

from listener.cli import click_options, common
from listener.cli.render import spooled_messages
from listener.settings.spool_settings import SpoolSettings
from listener.spool.contents import State, read_messages
from listener.spool.folder_checks import owner_of
from listener.spool.journal import Journal
from listener.spool.journal_database import JOURNAL
from listener.text import counted, json_line

_check_ids = partial(
    common.check_ids,
    form=re.compile(r"[0-9a-f]{32}"),
    description="message id such as 8a6bba0e7e8c41681e019c6be2dfe880",
)

LISTING = common.Listing(
    spooled_messages.summary, spooled_messages.print_table, "Nothing is in the spool of this host."
)
state_option = click.option(
    "--state",
    type=click.Choice(["waiting", "set-aside"]),
    help="Only messages that wait for Redis, or only those that it refused.",
)


@click.group(
    epilog="Example: python -m listener spool list",
)
def spool() -> None:
    """Look at messages on this host's disk; retry or drop those that Redis refused by themselves.

    Works while the service runs and while it is stopped, without Redis. `list`, `show` and `export`
    make and change no file.
    """


@spool.command("list", epilog="Example: python -m listener spool list --state set-aside --json")
@state_option
@click_options.limit
@click_options.as_json
def list_(*, state: State | None, limit: int | None, as_json: bool) -> None:
    """List messages, those that are set aside first, each in the order of arrival in the spool."""
    with _reading() as folder:
        messages = read_messages(folder, state)
        common.print_list(messages, limit, as_json, LISTING)


@spool.command(epilog="Example: python -m listener spool show 8a6bba0e7e8c41681e019c6be2dfe880")
@click.argument("message_id", metavar="ID")
@click_options.as_json
def show(*, message_id: str, as_json: bool) -> None:
    """Show a message whole, and why it was set aside."""
    _check_ids([message_id])
    with _reading() as folder:
        spooled = next(
            (each for each in read_messages(folder) if each.message.id == message_id), None
        )
    if spooled is None:
        common.fail(f"no message in the spool of this host is {message_id}")
    click.echo(
        json_line(spooled_messages.whole(spooled)) if as_json else spooled_messages.text(spooled)
    )


@spool.command(
    short_help="Write messages into a file.",
    epilog="Example: python -m listener spool export --state set-aside --output refused.jsonl",
)
@click.argument("message_ids", metavar="[ID]...", nargs=-1)
@state_option
@click_options.output
@click_options.force
def export(
    *, message_ids: tuple[str, ...], state: State | None, output: Path | None, force: bool
) -> None:
    """Write messages as lines of JSON: every field of an entry, its state, and why it was set aside.

    Those with the ids, or all. They stay in the spool.
    """
    _check_ids(message_ids)
    path = click_options.output_path(output, force)
    written = set()
    with _reading() as folder, click_options.open_output(path) as file:
        for spooled in read_messages(folder, state):
            if not message_ids or spooled.message.id in message_ids:
                file.write(f"{json_line(spooled_messages.whole(spooled))}\n")
                written.add(spooled.message.id)
    if path:
        click.echo(f"{counted(len(written), 'message')} written to {path}", err=True)
    _fail_if_missing(message_ids, written, "in the spool")


@spool.command(
    short_help="Let set-aside messages wait again.",
    epilog="Example: python -m listener spool retry --all",
)
@click.argument("message_ids", metavar="[ID]...", nargs=-1)
@click_options.every
def retry(*, message_ids: tuple[str, ...], every: bool) -> None:
    """Put messages that are set aside back to those that wait, behind all others.

    The service moves them to Redis then. Raise the limit that Redis refused them for, first: what it
    refuses again is set aside again.
    """
    common.check_ids_or_all(message_ids, every, _check_ids)
    with _writing() as (folder, journal):
        chosen = _set_aside(folder, message_ids)
        retried = journal.retry(chosen) if chosen else 0
    click.echo(f"{counted(retried, 'message')} waiting for Redis again.")
    _fail_if_missing(message_ids, chosen, "set aside")


@spool.command(
    short_help="Delete set-aside messages for good.",
    epilog="Example: python -m listener spool drop 8a6bba0e7e8c41681e019c6be2dfe880 --yes",
)
@click.argument("message_ids", metavar="[ID]...", nargs=-1)
@click_options.every
@click_options.yes
def drop(*, message_ids: tuple[str, ...], every: bool, yes: bool) -> None:
    """Delete messages that are set aside for good: no consumer ever gets them.

    `export` keeps them elsewhere first. What waits for Redis cannot be dropped.
    """
    common.check_ids_or_all(message_ids, every, _check_ids)
    with _writing() as (folder, journal):
        chosen = _set_aside(folder, message_ids)
        if chosen:
            amount = counted(len(chosen), "set-aside message")
            common.confirm(f"Delete {amount} for good?", yes)
        dropped = journal.drop(chosen) if chosen else 0
    click.echo(f"{counted(dropped, 'message')} dropped.")
    _fail_if_missing(message_ids, chosen, "set aside")


@contextmanager
def _reading() -> Iterator[Path]:
    """SPOOL_DIR; a sentence if it cannot be read."""
    folder = _folder(common.read_settings(SpoolSettings.from_env))
    with _failing_clearly(folder):
        yield folder


@contextmanager
def _writing() -> Iterator[tuple[Path, Journal]]:
    """SPOOL_DIR and its journal, for the owner of its files alone.

    Another user, even root, could leave files beside the journal that the service cannot open.
    """
    settings = common.read_settings(SpoolSettings.from_env)
    folder = _folder(settings)
    with _failing_clearly(folder):
        path = folder / JOURNAL
        try:
            owner = path.stat().st_uid
        except FileNotFoundError:
            common.fail(f"there is no journal in {folder.absolute()}: nothing is set aside")
        if owner != os.geteuid():
            common.fail(f"{path} belongs to another user: {_run_as(path)}")
        with closing(Journal(folder, settings.max_bytes)) as journal:
            yield folder, journal


def _folder(settings: SpoolSettings) -> Path:
    if settings.folder is None:
        common.fail("there is no spool: SPOOL_DIR is empty")
    return settings.folder


@contextmanager
def _failing_clearly(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        common.fail(f"{folder} cannot be read by this user: {_run_as(folder)}")
    except (OSError, sqlite3.Error, ValueError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        common.fail(f"the journal in {folder} cannot be used: {error}")


def _run_as(path: Path) -> str:
    """Advice that names the owner, as far as this user may know the owner."""
    while True:
        try:
            return f"run this as {owner_of(path)}, as the service does"
        except OSError:
            path = path.absolute().parent


def _set_aside(folder: Path, ids: Sequence[str]) -> list[str]:
    set_aside = [spooled.message.id for spooled in read_messages(folder, "set-aside")]
    return [message_id for message_id in set_aside if not ids or message_id in ids]


def _fail_if_missing(ids: Sequence[str], existing: Collection[str], place: str) -> None:
    """Ends the program with status 1 if some of the ids do not exist."""
    missing = [message_id for message_id in ids if message_id not in existing]
    for message_id in missing:
        click.echo(f"{message_id}: no such message is {place}", err=True)
    if missing:
        raise click.exceptions.Exit(common.EXIT_FAILURE)
