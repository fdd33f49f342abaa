"""The command `bench/run compare`."""

from pathlib import Path
from typing import Any

import click

from bench import compare
from bench.commands import result_file
from bench.report import stats, tables
from bench.rig import contender, environment, host

QUICK = {"seconds": 2, "rounds": 1, "connections": "64", "fsync": "everysec,always"}
FULL = {"seconds": 5, "rounds": 3, "connections": "1,16,64", "fsync": "everysec,always"}


@click.command(
    "compare", epilog="Example: bench/run compare --contenders ours,ours=/tmp/other --fsync always"
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
@result_file.json_option("comparison.json")
def compare_command(
    *, target: Path, contenders: str, quick: bool, no_rate: bool, no_log: bool, **given: Any
) -> None:
    """Compares the service with FastAPI, Flask and Fastify applications that do the same work.

    Each contender has a Redis of its own; they are measured in turn, in rounds. Only the ratios
    within a run count. The latency at a fixed rate is measured in seven rounds at least, without
    `--quick`. The full run takes about half an hour.
    """
    options = {**(QUICK if quick else FULL), **{k: v for k, v in given.items() if v is not None}}
    options["log"] = "warning" if no_log else "info"
    open_rounds = 1 if quick else max(compare.MIN_OPEN_ROUNDS, options["rounds"])
    plan = _plan(find_contenders(contenders), options, 0 if no_rate else open_rounds)
    result: dict[str, Any] = {
        "format": 1,
        "machine": host.facts(),
        "contenders": {each.name: each.title for each in plan.contenders},
        "options": options,
        "runs": [],
        "targets": [],
    }
    _run(plan, result, target)
    environment.report(f"bench: the whole result is in {target}")
    print_runs(result["runs"])
    result_file.console().print(tables.targets_table(result["targets"]))


def find_contenders(names: str) -> tuple[contender.Contender, ...]:
    """The contenders of these comma-separated names that this machine can run.

    Raises:
        click.BadParameter: there is no such contender.
        BenchError: the dependencies of one could not be installed.
    """
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


def print_runs(runs: list[stats.Run]) -> None:
    """Prints a table for each load."""
    console = result_file.console()
    rows = tables.rows(runs)
    for load in dict.fromkeys(row.load for row in rows):
        console.print(tables.table(rows, load))


def _plan(
    contenders: tuple[contender.Contender, ...], options: dict[str, Any], open_rounds: int
) -> compare.Plan:
    return compare.Plan(
        contenders=contenders,
        rounds=options["rounds"],
        seconds=options["seconds"],
        connections=tuple(int(text) for text in options["connections"].split(",")),
        fsyncs=tuple(options["fsync"].split(",")),
        open_rounds=open_rounds,
        open_seconds=options["seconds"],
        log_level=options["log"],
    )


def _run(plan: compare.Plan, result: dict[str, Any], target: Path) -> None:
    """Fills in the runs and the targets; the file has them as far as they were measured."""

    def keep(run: stats.Run) -> None:
        environment.report(tables.progress_line(run))
        result["targets"] = [each.as_dict() for each in stats.targets(result["runs"])]
        result_file.write(target, result)

    comparison = compare.Comparison(plan, keep, result["runs"])
    comparison.run_closed_loops()
    comparison.run_open_loops()
