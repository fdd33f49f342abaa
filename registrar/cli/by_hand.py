"""`status`, `register`, `deregister` and `unlock`: looks at this deployment's registrations and changes them, by hand."""

import json
import sys
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from listener.registration_state import Observation
from registrar.cli.common import FAILED, as_json, build, fail, read_settings
from registrar.errors import RegistrarError
from registrar.login_breaker.record import LOCKED_AT

if TYPE_CHECKING:
    from registrar.app import Registrar


@click.command(epilog="Example: python -m registrar register --json")
@as_json
def register(as_json: bool) -> None:
    """Register now, in place of whatever is registered."""
    _by_hand(lambda registrar: registrar.register(), as_json, good={"as-desired", "registered"})


@click.command(epilog="Example: python -m registrar deregister")
@as_json
def deregister(as_json: bool) -> None:
    """Deregister what is ours, and nothing else. While `run` runs, its next tick registers again."""
    _by_hand(lambda registrar: registrar.deregister(), as_json, good={"deregistered", "left"})


@click.command(epilog="Example, as a health check: python -m registrar status --stored")
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
        from registrar.cli import status_table  # noqa: PLC0415 (see there)

        status_table.show(report, status_table.screen())
    sys.exit(0 if report.as_desired else FAILED)


@click.command(epilog="Example: python -m registrar unlock")
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
    work: Callable[["Registrar"], list[Observation]], as_json: bool, *, good: Collection[str]
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
