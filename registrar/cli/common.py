"""What the commands have in common: their settings, their exit statuses, a question at the terminal."""

import sys
from typing import TYPE_CHECKING, NoReturn

import click
import structlog

from listener import logs
from listener.errors import SettingsError
from listener.runtime import lean_imports, memory_protection
from registrar.errors import RegistrarError
from registrar.settings import RegistrarSettings

if TYPE_CHECKING:
    from registrar.app import Registrar

log = structlog.get_logger("registrar")

FAILED = 1
WRONG_SETTINGS = 2

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def build(settings: RegistrarSettings) -> "Registrar":
    """The registrar of the settings; it has asked nobody yet."""
    # Half of a command's imports. Help, and a sentence about wrong settings, do not wait for them.
    with lean_imports.without_unused():
        from registrar import app  # noqa: PLC0415

    return app.build(settings)


def fail(error: RegistrarError) -> NoReturn:
    """Prints the error, and ends with status 1."""
    click.echo(str(error), err=True)
    sys.exit(FAILED)


def confirm(question: str, assumed: bool) -> None:
    """Asks unless `assumed`; ends the program if the answer is no.

    Raises:
        UsageError: there is no terminal to ask at.
    """
    if assumed:
        return
    if not is_interactive():
        raise click.UsageError(f"{question} There is no terminal to answer at: add --yes")
    click.confirm(question, abort=True)


def is_interactive() -> bool:
    """Whether standard input is a terminal, at which a question would be answered."""
    return sys.stdin.isatty()


def read_settings(*, by_hand: bool = False, any_account: bool = False) -> RegistrarSettings:
    """Reads the settings and sets up the log; ends with status 2, and every problem, if they are wrong.

    Args:
        by_hand: see `RegistrarSettings.from_env`; what is done is printed, so the log need not say it again.
        any_account: see there.
    """
    try:
        settings = RegistrarSettings.from_env(by_hand=by_hand, any_account=any_account)
    except SettingsError as error:
        for line in error.lines():
            click.echo(line, err=True)
        sys.exit(WRONG_SETTINGS)
    service = settings.service
    quiet = (by_hand or any_account) and service.log_level == "info"
    level = "warning" if quiet else service.log_level
    logs.configure(service.log_format, level, settings.secrets)
    if settings.enabled or by_hand or any_account:
        if not memory_protection.protect_memory():
            log.warning(
                "credentials readable by the same user",
                why="this system does not close a process's memory",
            )
        for account in service.unusual_accounts:
            log.warning("account of an unusual form", account=account, usual="##########-#####")
    return settings
