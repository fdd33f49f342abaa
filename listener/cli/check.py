"""`check`: the doctor."""

from collections import Counter
from dataclasses import asdict

import click
from rich.text import Text

from listener.cli import common, options
from listener.cli.render.tables import Screen
from listener.diagnostics.finding import Finding
from listener.diagnostics.run import findings
from listener.inspection.view import View, connected
from listener.text import clean, counted, json_line

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command(
    short_help="Look at everything, and say what to do.",
    epilog="Example: python -m listener check --json",
)
@options.as_json
def check(*, as_json: bool) -> None:
    """Look at settings, Redis, queue, consumer groups, spool and registration; say what to do.

    Exit status 0 if there is no error (warnings do not count), 1 with errors, 2 if the settings
    cannot be read. Looks at the spool of the host that it runs on.
    """
    settings = common.all_settings()
    screen, levels = Screen(), Counter[str]()
    with connected(settings.queue, timeout_s=common.TIMEOUT_S, name="fota-check") as client:
        for finding in findings(settings, View(settings.queue, client)):
            levels[finding.level] += 1
            if as_json:
                click.echo(json_line(asdict(finding)))
            else:
                _print(screen, finding)
    if not as_json:
        click.echo(
            f"\n{counted(levels['error'], 'error')}, {counted(levels['warning'], 'warning')}."
        )
    if levels["error"]:
        raise click.exceptions.Exit(common.FAILED)


def _print(screen: Screen, finding: Finding) -> None:
    level = Text(f"{finding.level:<8}", STYLES[finding.level])
    text = clean(f"{finding.topic}: {finding.text}")
    screen.print(Text.assemble(level, text), soft_wrap=True)
    if finding.advice:
        screen.print(Text(f"        {clean(finding.advice)}"), soft_wrap=True)
