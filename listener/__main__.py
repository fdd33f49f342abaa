"""The operator's command line: `python -m listener`."""

import os
import sys
from datetime import UTC, datetime

import click
import redis

from listener import tail as tailing
from listener.errors import SettingsError
from listener.queue.connection import connect
from listener.queue.keys import every_partition
from listener.queue.reader import follow
from listener.settings import Settings

BLOCK_MS = 500


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Looks after the queue of ThingSpace firmware messages.

    Reads the same environment variables as the service. Exit status: 0 success, 1 failure at work,
    2 wrong usage or settings.
    """


@main.command()
@click.option(
    "--from",
    "start",
    default="now",
    metavar="TIME|ID",
    show_default=True,
    help="Where to begin: `now`, `start` (the oldest there is), a time such as 2026-11-23T08:00, "
    "or an entry id.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for pipes.")
def tail(start: str, *, as_json: bool) -> None:
    """Prints messages as they arrive, until Ctrl-C. Takes nothing away from any consumer.

    Example: python -m listener tail --from start --json | head
    """
    settings = _settings()
    try:
        position = tailing.position(start, datetime.now(UTC))
    except ValueError:
        raise click.BadParameter(
            "is neither `now`, `start`, a time nor an entry id", param_hint="--from"
        ) from None
    spaces = every_partition(settings.queue_namespace, settings.queue_partitions)
    show = tailing.as_json if as_json else tailing.as_text
    client = connect(settings.redis_url, timeout_s=5, name="fota-tail", decode_responses=True)
    try:
        for entry in follow(client, spaces, start=position, block_ms=BLOCK_MS):
            if entry:
                click.echo(show(entry))
    except redis.RedisError as error:
        raise click.ClickException(f"Redis does not answer: {error}") from None
    except KeyboardInterrupt:
        # Ctrl-C is how one ends it, not a failure.
        return
    finally:
        client.close()


def _settings() -> Settings:
    try:
        # Whoever looks at the queue receives from nobody, and need not say how senders prove themselves.
        return Settings.from_env({**os.environ, "ALLOW_ANY_SENDER": "true"})
    except SettingsError as error:
        click.echo("The settings are not valid:", err=True)
        for line in error.lines():
            click.echo(f"  {line}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main(prog_name="python -m listener")
