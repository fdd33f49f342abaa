"""`check`: prints the findings of the diagnostics, with advice."""

from collections import Counter
from dataclasses import asdict

import click
from rich.text import Text

from listener.cli import click_options, common
from listener.cli.render.tables import Screen
from listener.diagnostics.finding import Finding
from listener.diagnostics.run_checks import findings
from listener.inspection.queue_view import QueueView, decoding_client
from listener.text import clean, counted, json_line

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command(
    short_help="Look at everything, and say what to do.",
    epilog="Example: python -m listener check --json",
)
@click_options.as_json
def check(*, as_json: bool) -> None:
    """Look at settings, Redis, queue, consumer groups, spool and registration; say what to do.

    Exit status 0 if there is no error (warnings do not count), 1 with errors, 2 if the settings
    cannot be read. Looks at the spool of the host that it runs on.
    """
    settings = common.read_all_settings()
    screen, levels = Screen(), Counter[str]()
    with decoding_client(settings.queue, timeout_s=common.TIMEOUT_S, name="fota-check") as client:
        for finding in findings(settings, QueueView(settings.queue, client)):
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
        raise click.exceptions.Exit(common.EXIT_FAILURE)


def _print(screen: Screen, finding: Finding) -> None:
    level = Text(f"{finding.level:<8}", STYLES[finding.level])
    text = clean(f"{finding.topic}: {finding.text}")
    screen.print(Text.assemble(level, text), soft_wrap=True)
    if finding.advice:
        screen.print(Text(f"        {clean(finding.advice)}"), soft_wrap=True)
