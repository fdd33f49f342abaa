"""The command line `bench/run`: one command for each measurement; `all` if none is named."""

import signal
from pathlib import Path
from typing import Any

import click

from bench import consumer, memory, replay, searches, slow_connections, token_timing
from bench.commands.all import all_command
from bench.commands.compare import compare_command
from bench.commands.growth import growth_command
from bench.errors import BenchError
from bench.rig import environment

DEFAULT_COMMAND = "all"
HELP = {"help_option_names": ["-h", "--help"]}
EXAMPLES = """\b
Examples:
  bench/run --rounds 5
  bench/run compare --contenders ours,fastapi --fsync always
  bench/run growth --only spool
"""


class DefaultCommandGroup(click.Group):
    """Runs `all` where the arguments begin with one of its options, or are empty."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        is_option = not args or args[0].startswith("-")
        if is_option and args[:1] != ["--help"] and args[:1] != ["-h"]:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(context, args)


@click.group(cls=DefaultCommandGroup, context_settings=HELP, epilog=EXAMPLES)
def main() -> None:
    """Measures the service. Without a command, `all` runs, and takes its options.

    Nothing else should run on the machine meanwhile.
    """


main.add_command(all_command)
main.add_command(compare_command)
main.add_command(growth_command)


@main.command("consumer", epilog="Example: bench/run consumer --messages 100000 --concurrency 4")
@click.option("--messages", default=1_000_000, show_default=True, help="How many to handle.")
@click.option("--batch", default=100, show_default=True, help="The consumer's option.")
@click.option("--concurrency", default=1, show_default=True, help="The consumer's option.")
@click.option("--observer", is_flag=True, help="It counts for Prometheus, as in `fota consume`.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="CHECKOUT",
    help="Another version, measured in turn with this one, without an observer.",
)
@click.option("--rounds", default=1, show_default=True, help="How often each is measured.")
def consumer_command(**options: Any) -> None:
    """Measures one consumer process whose handler only counts: rate, order, memory.

    Fails below 10,000 messages a second, if a message is missing or out of order, if the memory grows by a
    tenth, and if it takes a tenth more processor time than the other version.
    """
    consumer.run(consumer.Options(**options))


@main.command("memory", epilog="Example: bench/run memory --messages 10000")
@click.option(
    "--messages",
    "counts",
    type=click.IntRange(min=1, max=9_000_000),
    multiple=True,
    default=memory.COUNTS,
    show_default=True,
    help="In the queue; may be given several times.",
)
def memory_command(counts: tuple[int, ...]) -> None:
    """Measures the memory that Redis takes for a message `upgrade-finished`, all in.

    Fails if it is more than 740 bytes. REDIS_SERVER chooses the server.
    """
    figures = memory.run(counts, environment.report)
    if any(each["bytes"] > memory.MAX_BYTES for each in figures):
        raise BenchError(f"a message takes more than {memory.MAX_BYTES} bytes")


@main.command("replay", epilog="Example: bench/run replay --entries 10000000 --groups 100")
@click.option("--entries", default=1_000_000, show_default=True, help="In the long queue.")
@click.option("--groups", default=10, show_default=True, help="Other groups of both queues.")
@click.option("--messages", default=200_000, show_default=True, help="In the short queue.")
@click.option("--rounds", default=3, show_default=True, help="Of both queues.")
def replay_command(**options: Any) -> None:
    """Measures a consumer whose group was set back to the beginning, over a short and a long queue.

    Fails if the long queue is read a tenth slower, and if `fota replay` takes more than two seconds.
    """
    replay.run(replay.Options(**options))


@main.command("searches", epilog="Example: bench/run searches --entries 100000 --rounds 2")
@click.option("--entries", default=1_000_000, show_default=True, help="In the queue.")
@click.option("--readers", default=1, show_default=True, help="Pages that are read at a time.")
@click.option("--rate", default=200.0, show_default=True, help="Messages a second.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each window.")
@click.option("--rounds", default=6, show_default=True, help="Of a window without and one with.")
@click.option("--no-end", is_flag=True, help="Leave out a search through the whole queue.")
def searches_command(**options: Any) -> None:
    """Measures a device's page over a long queue, and the receiver while somebody searches.

    Fails if a first answer takes more than a second, and if the p99 of messages doubles.
    """
    searches.run(searches.Options(**options))


@main.command(
    "slow-connections", epilog="Example: bench/run slow-connections --connections 100 --seconds 10"
)
@click.option("--connections", default=500, show_default=True, help="Slow ones.")
@click.option("--seconds", default=60.0, show_default=True, help="Beside the slow connections.")
@click.option("--rate", default=50.0, show_default=True, help="Messages a second.")
def slow_connections_command(connections: int, seconds: float, rate: float) -> None:
    """Measures how fast messages are answered while an attacker holds slow connections."""
    slow_connections.run(connections, seconds, rate)


@main.command("token-timing", epilog="Example: bench/run token-timing --requests 5000")
@click.option("--requests", default=20_000, show_default=True, help="At least.")
def token_timing_command(requests: int) -> None:
    """Measures whether the time of a 404 reveals how much of a wrong token is right."""
    token_timing.run(requests)


@main.command("install", epilog="Example: bench/run install")
def install_command() -> None:
    """Installs the other contenders into var/bench and measures nothing; `all` and `compare` do so too."""
    environment.python()
    environment.node_server()


if __name__ == "__main__":
    # `timeout` ends a run as Ctrl-C does: contenders and Redis end with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main(prog_name="bench/run")
