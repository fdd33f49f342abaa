"""`consume`: runs a program's Consumer in processes that a supervisor keeps running."""

import os
import sys
from pathlib import Path

import click

from listener.cli import common
from listener.settings import parsers
from listener.settings.env import EnvReader, read_environ
from listener.settings.redis_url import Address


class _AddressType(click.ParamType[Address]):
    name = "HOST:PORT"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        try:
            return parsers.address(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


@click.command(epilog="Example: python -m listener consume billing.main:consumer --processes 2")
@click.argument("target", metavar="PACKAGE.MODULE:CONSUMER")
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes share the messages of the group.",
)
@click.option("--reload", is_flag=True, help="For development: restart when a Python file changes.")
@click.option(
    "--metrics-bind",
    type=_AddressType(),
    metavar="HOST:PORT",
    help="Serve /metrics (Prometheus), /healthz and /livez there.",
)
@click.option(
    "--health-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write this file every 5 s while all is well; remove it when it is not.",
)
def consume(
    *,
    target: str,
    processes: int,
    reload: bool,
    metrics_bind: Address | None,
    health_file: Path | None,
) -> None:
    """Run the Consumer of your module until SIGTERM or SIGINT.

    The module is looked for in the current folder first. A process that dies is started again, after a pause
    that grows. The first signal lets handlers finish (shutdown_s), the second ends at once; SIGHUP restarts the processes
    one after the other. Reads REDIS_URL, QUEUE_NAMESPACE, QUEUE_PARTITIONS if your module does, LOG_FORMAT and LOG_LEVEL.

    Exit status 2 if there is no such Consumer, 1 if your module cannot be imported, or the address or the file
    cannot be used.
    """
    from listener.consumer.runner.run import RunnerError, RunnerOptions, run  # noqa: PLC0415

    log_format, log_level = common.read_settings(lambda: read_environ(os.environ, _log_settings))
    options = RunnerOptions(
        target=target,
        processes=processes,
        reload=reload,
        bind=metrics_bind,
        health_file=health_file,
        log_format=log_format,
        log_level=log_level,
    )
    try:
        status = run(options)
    except RunnerError as error:
        common.fail(str(error))
    sys.exit(status)


def _log_settings(env: EnvReader) -> tuple[str, str]:
    return (
        env.parsed("LOG_FORMAT", "json", parse=parsers.one_of("json", "text")),
        env.parsed("LOG_LEVEL", "info", parse=parsers.one_of("debug", "info", "warning", "error")),
    )
