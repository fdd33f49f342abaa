"""What the commands share: settings, checks of arguments, lists, and how a command ends."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Generic, NoReturn, TypeVar

import click

from listener.errors import SettingsError
from listener.settings.settings import Settings
from listener.text import clean, json_line

T = TypeVar("T")

EXIT_FAILURE = 1
EXIT_USAGE = 2
# Drawing a table of tens of thousands takes half a minute, and nobody reads it.
MAX_TABLE_ROWS = 50
# Unlike `entry_ids.PATTERN` it requires the number.
ENTRY_ID = re.compile(r"[0-9]+-[0-9]+")


def read_settings(read: Callable[[], T]) -> T:
    """The settings that `read` returns; ends the program with status 2 if they are not valid.

    Args:
        read: such as `QueueSettings.from_env`: a command reads only the settings that it needs.
    """
    try:
        return read()
    except SettingsError as error:
        click.echo("The settings are not valid:", err=True)
        for line in error.lines():
            click.echo(f"  {line}", err=True)
        sys.exit(EXIT_USAGE)


def read_all_settings() -> Settings:
    """All settings of the listener. A command receives no message, so no sender needs authentication."""
    return read_settings(lambda: Settings.from_env(require_sender_proof=False))


def resolve_time_option(
    read: Callable[[str, datetime], str], text: str, now: datetime, option: str
) -> str:
    """The entry id that the text of `--from` or `--to` means; `read` is of `times`.

    Raises:
        BadParameter: the text is neither a time nor an id.
    """
    try:
        return read(text, now)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def check_ids(
    ids: Sequence[str],
    form: re.Pattern[str] = ENTRY_ID,
    description: str = "entry id such as 1795397513221-0",
) -> None:
    """Raises BadParameter for an argument that does not have the form of an id."""
    for text in ids:
        if not form.fullmatch(text):
            raise click.BadParameter(clean(f"{text!r} is no {description}"), param_hint="ID")


def check_ids_or_all(
    ids: Sequence[str],
    every: bool,
    check: Callable[[Sequence[str]], None] = check_ids,
    choices: str = "--all",
) -> None:
    """Checks that either ids are given or another choice, such as --all, and the form of the ids.

    Raises:
        UsageError: neither, both, or something that is no id.
    """
    if bool(ids) == every:
        raise click.UsageError(f"either name the ids of what you mean, or say {choices}")
    check(ids)


def confirm(question: str, assumed: bool) -> None:
    """Asks unless `assumed`; ends the program if the answer is no.

    Raises:
        UsageError: there is no terminal to ask at.
    """
    if assumed:
        return
    if not is_interactive():
        raise click.UsageError("there is no terminal to ask at: add --yes")
    click.confirm(question, abort=True)


def is_interactive() -> bool:
    """Whether standard input is a terminal, at which a question would be answered."""
    return sys.stdin.isatty()


@dataclass(frozen=True)
class Listing(Generic[T]):
    """How items are listed: as lines of JSON, as a table, and the sentence in the place of an empty table."""

    to_data: Callable[[T], dict[str, Any]]
    print_table: Callable[[Sequence[T]], None]
    empty: str


def print_list(items: Iterable[T], limit: int | None, as_json: bool, listing: Listing[T]) -> bool:
    """Prints items as lines of JSON, or at most `MAX_TABLE_ROWS` (without a limit) of them as a table.

    Returns:
        Whether there were any.
    """
    if as_json:
        count = 0
        for count, item in enumerate(islice(items, limit), start=1):  # noqa: B007 (the last count is the result)
            click.echo(json_line(listing.to_data(item)))
        return count > 0
    max_rows = limit or MAX_TABLE_ROWS
    rows = list(islice(items, max_rows + 1))
    if rows:
        listing.print_table(rows[:max_rows])
    else:
        click.echo(listing.empty)
    warn_truncated(rows, max_rows)
    return bool(rows)


def warn_truncated(items: Sequence[object], limit: int) -> None:
    """Says on standard error that there are more than `limit`, if there are more items."""
    if len(items) > limit:
        click.echo(f"There are more than {limit}: raise --limit to see them.", err=True)


def fail(text: str) -> NoReturn:
    """Ends the program with status 1 and a sentence on standard error."""
    raise click.ClickException(clean(text))
