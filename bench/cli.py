"""The command line `bench/run`: one command for each measurement; `compare` if none is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import compare, consumer, growth, searches, slow_connections, token_timing
from bench.errors import BenchError
from bench.report import growth_tables, publish, stats, tables
from bench.rig import contender, environment, host

QUICK = {"seconds": 2, "rounds": 1, "connections": "64", "fsync": "everysec,always"}
FULL = {"seconds": 5, "rounds": 3, "connections": "1,16,64", "fsync": "everysec,always"}
DEFAULT_COMMAND = "compare"
HELP = {"help_option_names": ["-h", "--help"]}
EXAMPLES = """\b
Examples:
  bench/run --quick
  bench/run --contenders ours,fastapi --fsync always
  bench/run growth --only spool
"""


class DefaultCommandGroup(click.Group):
    """Runs `compare` where the arguments begin with one of its options, or are empty."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        is_option = not args or args[0].startswith("-")
        if is_option and args[:1] != ["--help"] and args[:1] != ["-h"]:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(context, args)


def _json_option(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--json",
        "target",
        type=click.Path(dir_okay=False, path_type=Path),
        default=environment.VAR / name,
        help=f"Where the whole result goes.  [default: var/bench/{name}]",
    )


@click.group(cls=DefaultCommandGroup, context_settings=HELP, epilog=EXAMPLES)
def main() -> None:
    """Measures the service. Without a command, `compare` runs, and takes its options.

    Nothing else should run on the machine meanwhile.
    """


@main.command(
    "compare", epilog="Example: bench/run --contenders ours,ours=/tmp/other --fsync always"
)
@click.option(
    "--contenders",
    default=",".join(contender.NAMES),
    show_default=True,
    metavar="NAMES",
    help="Comma-separated; `ours=FOLDER` is the service in another checkout.",
)
@click.option("--seconds", type=int, help=f"Of each measurement.  [default: {FULL['seconds']}]")
@click.option("--rounds", type=int, help=f"Of all contenders.  [default: {FULL['rounds']}]")
@click.option("--connections", help=f"Comma-separated.  [default: {FULL['connections']}]")
@click.option("--fsync", help=f"Redis's appendfsync, comma-separated.  [default: {FULL['fsync']}]")
@click.option("--quick", is_flag=True, help="One short round at 64 connections: about a minute.")
@click.option("--no-rate", is_flag=True, help="Leave out the latency at a fixed rate.")
@click.option("--no-log", is_flag=True, help="No contender logs a line for each message.")
@click.option("--docs", is_flag=True, help="Write tables and plot into docs/benchmarks.md.")
@_json_option("comparison.json")
def compare_command(
    *,
    target: Path,
    contenders: str,
    quick: bool,
    no_rate: bool,
    no_log: bool,
    docs: bool,
    **given: Any,
) -> None:
    """Compares the service with FastAPI, Flask and Fastify applications that do the same work.

    Each contender has a Redis of its own; they are measured in turn, in rounds. Only the ratios
    within a run count. The full run takes about a quarter of an hour.
    """
    options = {**(QUICK if quick else FULL), **{k: v for k, v in given.items() if v is not None}}
    options["log"] = "warning" if no_log else "info"
    plan = _plan(contenders, options, with_open_loop=not no_rate)
    result = {
        "format": 1,
        "machine": host.facts(),
        "contenders": {each.name: each.title for each in plan.contenders},
        "options": options,
        **_run(plan, target),
    }
    _write(target, result)
    _print_comparison(result)
    if docs:
        publish.publish_comparison(result)


@main.command("growth", epilog="Example: bench/run growth --only queue --only spool --seconds 2")
@click.option("--seconds", type=int, default=5, show_default=True, help="Of each measurement.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Of each comparison.")
@click.option(
    "--entries", type=int, default=1_000_000, show_default=True, help="In the full queue."
)
@click.option(
    "--messages",
    type=int,
    default=1_000_000,
    show_default=True,
    help="During which a worker's memory is measured.",
)
@click.option(
    "--only",
    type=click.Choice(growth.PARTS),
    multiple=True,
    help="Leave out all other parts; may be given several times.",
)
@click.option("--docs", is_flag=True, help="Write the tables into docs/benchmarks.md.")
@_json_option("growth.json")
def growth_command(target: Path, only: tuple[str, ...], docs: bool, **options: Any) -> None:
    """Measures the service alone as its queue, its messages, its partitions and its spool grow."""
    parts = only or growth.PARTS
    figures = growth.run(growth.Options(**options), parts, environment.report)
    result = {"format": 1, "machine": host.facts(), "options": options, **figures}
    _write(target, result)
    console = _console()
    for table in growth_tables.terminal_tables(figures):
        console.print(table)
    if docs:
        publish.publish_growth(result)


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


@main.command("searches", epilog="Example: bench/run searches --entries 100000 --rounds 2")
@click.option("--entries", default=1_000_000, show_default=True, help="In the queue.")
@click.option("--readers", default=1, show_default=True, help="Pages that are read at a time.")
@click.option("--rate", default=200.0, show_default=True, help="Messages a second.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each window.")
@click.option("--rounds", default=6, show_default=True, help="Of a window without and one with.")
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
    """Installs the other contenders into var/bench and measures nothing; `compare` does so too."""
    environment.python()
    environment.node_server()


def _plan(names: str, options: dict[str, Any], *, with_open_loop: bool) -> compare.Plan:
    return compare.Plan(
        contenders=_find_contenders(names),
        rounds=options["rounds"],
        seconds=options["seconds"],
        connections=tuple(int(text) for text in options["connections"].split(",")),
        fsyncs=tuple(options["fsync"].split(",")),
        with_open_loop=with_open_loop,
        log_level=options["log"],
    )


def _run(plan: compare.Plan, target: Path) -> dict[str, Any]:
    """The runs and the targets; where a contender fails, the runs before it are written."""
    comparison = compare.Comparison(plan, lambda run: environment.report(tables.progress_line(run)))
    try:
        comparison.run()
    except BenchError:
        _write(target.with_suffix(".partial.json"), {"runs": comparison.runs})
        raise
    targets = [each.as_dict() for each in stats.targets(comparison.runs)]
    return {"runs": comparison.runs, "targets": targets}


def _find_contenders(names: str) -> tuple[contender.Contender, ...]:
    contenders = []
    for name in names.split(","):
        try:
            each = contender.find(name)
        except KeyError:
            raise click.BadParameter(f"{name} is none of them", param_hint="--contenders") from None
        if each is None:
            environment.report(f"bench: without {name}: this machine has no node and npm")
        else:
            contenders.append(each)
    return tuple(contenders)


def _print_comparison(result: dict[str, Any]) -> None:
    console = _console()
    rows = tables.rows(result["runs"])
    for load in dict.fromkeys(row.load for row in rows):
        console.print(tables.table(rows, load))
    console.print(tables.targets_table(result["targets"]))


def _console() -> Console:
    # A file or a pipe has no width.
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _write(target: Path, result: dict[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    environment.report(f"bench: the whole result is in {target}")


if __name__ == "__main__":
    main(prog_name="bench/run")
