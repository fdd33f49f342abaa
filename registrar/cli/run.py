"""`run`: starts COMMAND and keeps the URL registered."""

import sys

import click

from listener.runtime import lean_imports
from registrar.cli.common import read_settings


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: python -m registrar run -- gunicorn listener.wsgi:app",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Start COMMAND, register once it is ready, and deregister before stopping it.

    Without COMMAND: the same, beside a listener that somebody else runs. REGISTRAR=off: only
    COMMAND is started. HUP, USR1, TTIN and TTOU go to COMMAND; TERM, INT or QUIT stops, a second one
    hurries. COMMAND always gets TERM.
    """
    settings = read_settings()
    if not (settings.enabled or command):
        raise click.UsageError("with REGISTRAR=off there is nothing to run but COMMAND: name one")
    # As in `common.build`.
    with lean_imports.without_unused():
        from registrar.run import run_registrar  # noqa: PLC0415

    sys.exit(run_registrar(settings, command))
