"""The command line: `python -m registrar run | status | register | deregister | unlock | callbacks`."""

import json
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from listener.registration_state import Observation
from listener.runtime import memory_protection, stderr
from registrar.app import Registrar, build
from registrar.cli.callbacks import callbacks
from registrar.cli.common import FAILED, as_json, fail, read_settings
from registrar.errors import RegistrarError
from registrar.login_breaker.record import LOCKED_AT
from registrar.run import run_registrar

PIPE_WIDTH = 160


class Commands(click.Group):
    """A group whose commands never wait for the reader of their log and errors."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line."""
        # First, because the environment that holds the credentials is open until then.
        memory_protection.protect_memory()
        stderr.replace()
        return super().main(*arguments, **options)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: python -m registrar run -- gunicorn listener.wsgi:app; "
    "python -m registrar status --json",
)
def main() -> None:
    """Keeps the callback URL registered with ThingSpace, from boot to shutdown.

    Settings come from the environment: see .env.example. Exit status: 0 success, 1 a failure at
    work, 2 wrong settings or arguments.
    """


main.add_command(callbacks)


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: python -m registrar run -- gunicorn listener.wsgi:app",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Start COMMAND, register once it is ready, deregister before it is told to stop.

    Without COMMAND: the same, beside a listener that somebody else runs. REGISTRAR=off: only
    COMMAND is started. HUP, USR1, TTIN and TTOU go to COMMAND; TERM, INT or QUIT stops, a second one
    hurries. COMMAND always gets TERM.
    """
    settings = read_settings()
    if not (settings.enabled or command):
        raise click.UsageError("with REGISTRAR=off there is nothing to run but COMMAND: name one")
    sys.exit(run_registrar(settings, command))


@main.command(epilog="Example: python -m registrar register --json")
@as_json
def register(as_json: bool) -> None:
    """Register now, in place of whatever is registered."""
    _by_hand(Registrar.register, as_json, good={"as-desired", "registered"})


@main.command(epilog="Example: python -m registrar deregister")
@as_json
def deregister(as_json: bool) -> None:
    """Deregister what is ours, and nothing else. While `run` runs, its next tick registers again."""
    _by_hand(Registrar.deregister, as_json, good={"deregistered", "left"})


@main.command(epilog="Example, as a health check: python -m registrar status --stored")
@as_json
@click.option("--stored", is_flag=True, help="Believe the last tick; do not ask ThingSpace.")
def status(as_json: bool, stored: bool) -> None:
    """Show what is registered. Exit status 0 only if all is as desired."""
    settings = read_settings(by_hand=True)
    with build(settings) as registrar:
        report = registrar.status(stored=stored)
    if as_json:
        click.echo(report.to_json())
    else:
        # Into a pipe or a file there is no terminal whose width would matter.
        report.show(Console(width=None if sys.stdout.isatty() else PIPE_WIDTH))
    sys.exit(0 if report.as_desired else FAILED)


@main.command(epilog="Example: python -m registrar unlock")
def unlock() -> None:
    """Let one more login be tried after two were refused, because the password is right after all.

    A corrected password needs no unlock. ThingSpace locks the account at the fifth refused login
    in a row, and unlocking here does not change what it has counted.
    """
    settings = read_settings(by_hand=True)
    with build(settings) as registrar:
        try:
            failed = registrar.breaker.unlock().failed
        except RegistrarError as error:
            fail(error)
    click.echo(
        f"unlocked: one more login may be tried. ThingSpace has probably counted {failed} of the "
        f"{LOCKED_AT} failed logins that lock the account"
    )
    if failed >= LOCKED_AT - 1:
        click.echo("if the next one is refused, only Verizon Support can unlock it", err=True)


def _by_hand(
    work: Callable[[Registrar], list[Observation]], as_json: bool, *, good: Collection[str]
) -> None:
    settings = read_settings(by_hand=True)
    with build(settings) as registrar:
        try:
            observations = work(registrar)
        except RegistrarError as error:
            fail(error)
    if as_json:
        click.echo(json.dumps([asdict(observation) for observation in observations], indent=2))
    else:
        for one in observations:
            said = ": ".join(text for text in (one.reason, one.detail) if text)
            url = one.registered_url or "nothing"
            click.echo(f"{one.account} {one.version}: {one.result} ({said}); registered: {url}")
    sys.exit(0 if all(one.result in good for one in observations) else FAILED)


if __name__ == "__main__":
    main()
