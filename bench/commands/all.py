"""The command `bench/run all`, which runs where none is named: the figure of every target."""

import json
from pathlib import Path
from typing import Any

import click

from bench import whole_run
from bench.commands import compare, result_file
from bench.errors import BenchError
from bench.report import growth_tables, publish
from bench.rig import contender, environment, host
from bench.whole_run import Options, Result

FULL = {
    "rounds": 5,
    "seconds": 3,
    "entries": 10_000_000,
    "groups": 100,
    "messages": 1_000_000,
}
QUICK = {"rounds": 1, "seconds": 1, "entries": 100_000, "groups": 10, "messages": 50_000}


@click.command("all", epilog="Example: bench/run all --rounds 3 --only throughput --only latency")
@click.option("--rounds", type=int, help=f"Of each ratio.  [default: {FULL['rounds']}]")
@click.option("--seconds", type=int, help=f"Of each measurement.  [default: {FULL['seconds']}]")
@click.option("--entries", type=int, help=f"In the full queue.  [default: {FULL['entries']}]")
@click.option("--groups", type=int, help=f"Of the full queue.  [default: {FULL['groups']}]")
@click.option(
    "--messages",
    type=int,
    help=f"During which a worker's memory is measured.  [default: {FULL['messages']}]",
)
@click.option("--quick", is_flag=True, help="Everything once and small: about six minutes.")
@click.option(
    "--only",
    type=click.Choice(whole_run.PARTS),
    multiple=True,
    help="Leave out all other parts; may be given several times.",
)
@click.option(
    "--continue",
    "goes_on",
    is_flag=True,
    help="Measure only what the file of the result does not have yet.",
)
@click.option(
    "--docs", is_flag=True, help="Write docs/benchmarks.md's results and plot, and bench/results."
)
@result_file.json_option("all.json")
def all_command(
    *,
    target: Path,
    only: tuple[str, ...],
    quick: bool,
    goes_on: bool,
    docs: bool,
    **given: Any,
) -> None:
    """Measures the figure of every target, and says whether it is met.

    Takes about half an hour. The result is written after each measurement: a run that was
    interrupted goes on with `--continue`. Exit status 1: a target is missed.
    """
    options = Options(
        **{**(QUICK if quick else FULL), **{k: v for k, v in given.items() if v is not None}}
    )
    result = _result(target, options, goes_on=goes_on)
    contenders = compare.find_contenders(",".join(contender.NAMES))
    run = whole_run.WholeRun(
        options,
        contenders,
        result,
        lambda: result_file.write(target, result),
        environment.report,
    )
    for part in only or whole_run.PARTS:
        run.run(part)
    environment.report(f"bench: the whole result is in {target}")
    _print(result)
    if docs:
        publish.publish_all(result)
    _check(result)


def _result(target: Path, options: Options, *, goes_on: bool) -> Result:
    """A new result, or the one in the file.

    Raises:
        BenchError: the file has figures of another version, or with other options.
    """
    machine = host.facts()
    if not goes_on:
        head = {"format": 1, "machine": machine, "options": options.as_dict()}
        return {**head, **whole_run.empty_result()}
    if not target.exists():
        raise BenchError(f"{target} is not there: nothing to continue")
    result: Result = json.loads(target.read_text())
    if result["machine"]["commit"] != machine["commit"]:
        raise BenchError(f"{target} is of commit {result['machine']['commit']}")
    if result["options"] != options.as_dict():
        raise BenchError(f"{target} was measured with other options: {result['options']}")
    return result


def _print(result: Result) -> None:
    console = result_file.console()
    compare.print_runs(result["comparison"])
    for table in growth_tables.terminal_tables({**result, "runs": result["growth"], "memory": []}):
        console.print(table)


def _check(result: Result) -> None:
    missed = [target["what"] for target in result["targets"] if not target["met"]]
    if missed:
        raise BenchError(f"missed: {'; '.join(missed)}")
