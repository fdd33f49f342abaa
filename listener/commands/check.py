"""`check`: the doctor."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import click
import redis
from rich.text import Text

from listener.commands import lines, options, shell
from listener.commands.doctor import environment, queue, registration, server, spool
from listener.commands.doctor.findings import Finding, error
from listener.commands.screen import Screen
from listener.commands.shell import Queue
from listener.settings import Settings

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}
REDIS_DOWN = "start Redis, or correct REDIS_URL; messages go to the spool meanwhile"


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
    settings = shell.settings()
    screen, levels = Screen(), Counter[str]()
    for finding in findings(settings):
        levels[finding.level] += 1
        if as_json:
            click.echo(lines.json_line(asdict(finding)))
        else:
            _print(screen, finding)
    if not as_json:
        click.echo(
            f"\n{lines.counted(levels['error'], 'error')}, {lines.counted(levels['warning'], 'warning')}."
        )
    if levels["error"]:
        raise click.exceptions.Exit(shell.FAILED)


def findings(settings: Settings, timeout_s: float = shell.TIMEOUT_S) -> Iterator[Finding]:
    """Looks at one thing after the other. Without Redis the rest is looked at all the same.

    Each reply of Redis is waited for `timeout_s` seconds at most.
    """
    yield from environment.findings(settings, os.environ)
    with shell.connected(settings, timeout_s=timeout_s) as client:
        try:
            yield from _in_redis(Queue(settings, client))
        except redis.RedisError as problem:
            yield error("redis", shell.problem(problem, settings), REDIS_DOWN)
    yield from spool.findings(settings, datetime.now(UTC))


def _in_redis(looked_at: Queue) -> Iterator[Finding]:
    settings, client = looked_at.settings, looked_at.client
    yield from server.findings(settings, client)
    now = looked_at.now()
    yield from queue.findings(client, looked_at.partitions, now)
    yield from registration.findings(client, settings.queue_namespace, now)


def _print(screen: Screen, finding: Finding) -> None:
    level = Text(f"{finding.level:<8}", STYLES[finding.level])
    text = lines.clean(f"{finding.topic}: {finding.text}")
    screen.print(Text.assemble(level, text), soft_wrap=True)
    if finding.advice:
        screen.print(Text(f"        {lines.clean(finding.advice)}"), soft_wrap=True)
