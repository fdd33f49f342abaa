"""What the commands share: settings, the connection, questions, and how they end."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn, TypeVar

import click

from listener import entry_ids
from listener.errors import SettingsError
from listener.inspection import consumer_groups
from listener.inspection.view import RedisFailedError, View, connected, translated_errors
from listener.runtime import memory_protection, stderr
from listener.settings.queue_settings import QueueSettings
from listener.settings.settings import Settings
from listener.text import clean

T = TypeVar("T")

TIMEOUT_S = 5.0
WRONG = 2
FAILED = 1


class Commands(click.Group):
    """A group whose commands end quietly when nobody reads their output any more.

    A command may wait for the reader of its output, until a signal or the reader's end; never for that of its errors.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line."""
        # Run where the service runs, a command has the service's whole environment.
        memory_protection.protect_memory()
        stderr.replace()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command."""
        _replace_what_cannot_be_written()
        try:
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                discard_output()
                raise
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            # It may also have come while the end of the output waited for its reader.
            discard_output()
            raise
        except BrokenPipeError:
            # `| head` has had enough. What is left in the buffer must not fail once more at exit.
            discard_output()
            ctx.exit(0)
        except OSError as error:
            # A disk that is full, where the output goes into a file.
            discard_output()
            raise click.ClickException(f"output failed: {error.strerror or error}") from None


def wanted_groups(queue: View, wanted: str | None) -> list[str]:
    """The wanted group, or all.

    Raises:
        UsageError: it is none; names those that there are.
        redis.RedisError: Redis did not answer.
    """
    known = consumer_groups.names(queue.client, queue.partitions)
    if wanted is None:
        return known
    if wanted not in known:
        raise no_group(wanted, known)
    return [wanted]


def no_group(wanted: str, known: Sequence[str]) -> click.UsageError:
    """What to say of a group that does not exist."""
    there = f"there are: {', '.join(known)}" if known else "there is none yet"
    return click.UsageError(clean(f"no consumer group is named {wanted!r}; {there}"))


def read_settings(read: Callable[[], T]) -> T:
    """The settings that `read` returns; if they are not valid, the program ends with status 2.

    Args:
        read: such as `QueueSettings.from_env`: a command reads no settings but those that it needs.
    """
    try:
        return read()
    except SettingsError as error:
        click.echo("The settings are not valid:", err=True)
        for line in error.lines():
            click.echo(f"  {line}", err=True)
        sys.exit(WRONG)


def all_settings() -> Settings:
    """All settings of the listener. A command receives nothing, so nothing has to prove who sends."""
    return read_settings(lambda: Settings.from_env(require_sender_proof=False))


@contextmanager
def opened() -> Iterator[View]:
    """The queue that the environment names.

    Raises:
        ClickException: Redis fails; says how, without secrets.
    """
    settings = read_settings(QueueSettings.from_env)
    with (
        failing_clearly(settings),
        connected(settings, timeout_s=TIMEOUT_S, name="fota-cli") as client,
    ):
        yield View(settings, client)


@contextmanager
def failing_clearly(settings: QueueSettings) -> Iterator[None]:
    """Turns an error of Redis into a ClickException: one sentence, free of secrets."""
    try:
        with translated_errors(settings):
            yield
    except RedisFailedError as error:
        raise click.ClickException(str(error)) from None


def place(read: Callable[[str, datetime], str], text: str, now: datetime, option: str) -> str:
    """An entry id of what `--from` or `--to` says; `read` is of `moments`.

    Raises:
        BadParameter: it says nothing that can be understood.
    """
    try:
        return read(text, now)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def chosen_ids(ids: Sequence[str], every: bool) -> None:
    """Checks that either ids or --all are given, and that the ids are some.

    Raises:
        UsageError: neither, both, or something else.
    """
    if bool(ids) == every:
        raise click.UsageError("name the ids of what you mean, or --all")
    check_ids(ids)


def check_ids(ids: Sequence[str]) -> None:
    """Raises BadParameter for what is no entry id."""
    for entry_id in ids:
        found = entry_ids.PATTERN.fullmatch(entry_id)
        if not found or found[2] is None:
            raise click.BadParameter(
                clean(f"{entry_id!r} is no entry id such as 1795397513221-0"), param_hint="ID"
            )


def confirm(question: str, assumed: bool) -> None:
    """Asks; ends the program where the answer is no.

    Raises:
        UsageError: there is nobody to ask.
    """
    if assumed:
        return
    if not somebody_is_there():
        raise click.UsageError("there is no terminal to ask at: add --yes")
    click.confirm(question, abort=True)


def somebody_is_there() -> bool:
    """Whether there is a terminal at which a question would be read."""
    return sys.stdin.isatty()


def tell_of_more(found: Sequence[object], limit: int) -> None:
    """Says on standard error that there are more than `limit`, if so many were found."""
    if len(found) > limit:
        click.echo(f"There are more than {limit}: raise --limit to see them.", err=True)


def fail(text: str) -> NoReturn:
    """Ends the program with status 1 and a sentence on standard error."""
    raise click.ClickException(clean(text))


def _replace_what_cannot_be_written() -> None:
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Drops what is still in the buffer of standard output, and all that follows: the end must not wait for it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
