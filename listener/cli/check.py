"""`check`: prints the findings of the diagnostics, with advice."""

from collections import Counter
from dataclasses import asdict

import click

from listener.cli import click_options, common, queue_access
from listener.diagnostics.run_checks import findings
from listener.inspection.queue_view import QueueView, decoding_client
from listener.text import counted, json_line


@click.command(
    epilog="Example: python -m listener check --json",
)
@click_options.as_json
def check(*, as_json: bool) -> None:
    """Look at settings, Redis, queue, consumer groups, spool and registration; say what to do.

    Exit status 0 if there is no error (warnings do not count), 1 with errors, 2 if the settings
    cannot be read. Looks at the spool of the host that it runs on.
    """
    settings = common.read_all_settings()
    levels = Counter[str]()
    with decoding_client(
        settings.queue, timeout_s=queue_access.TIMEOUT_S, name="fota-check"
    ) as client:
        for finding in findings(settings, QueueView(settings.queue, client)):
            levels[finding.level] += 1
            if as_json:
                click.echo(json_line(asdict(finding)))
            else:
                from listener.cli.render import screen  # noqa: PLC0415 (see there)

                screen.print_finding(finding)
    if not as_json:
        click.echo(
            f"\n{counted(levels['error'], 'error')}, {counted(levels['warning'], 'warning')}."
        )
    if levels["error"]:
        raise click.exceptions.Exit(common.EXIT_FAILURE)
