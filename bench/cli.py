"""The command line: `bench/run`."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import compare, growth
from bench.report import publish, rendering, stats
from bench.rig import contender, environment, host, store
from bench.rig.environment import say

KNOWN_ERRORS = (contender.FailedError, environment.MissingToolError, store.MismatchError)
QUICK = {"seconds": 2, "rounds": 1, "connections": "64", "fsync": "everysec,always"}
FULL = {"seconds": 5, "rounds": 3, "connections": "1,16,64", "fsync": "everysec,always"}


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--contenders",
    default=",".join(contender.NAMES),
    show_default=True,
    metavar="NAMES",
    help="Comma-separated; `ours=FOLDER` is the service in another checkout.",
)
@click.option("--seconds", type=int, help=f"Of each measurement.  [default: {FULL['seconds']}]")
@click.option(
    "--rounds", type=int, help=f"How often each has its turn.  [default: {FULL['rounds']}]"
)
@click.option("--connections", help=f"Comma-separated.  [default: {FULL['connections']}]")
@click.option("--fsync", help=f"Redis's appendfsync, comma-separated.  [default: {FULL['fsync']}]")
@click.option("--quick", is_flag=True, help="One short round at 64 connections: about a minute.")
@click.option("--no-rate", is_flag=True, help="Leave out the latency at a fixed rate.")
@click.option("--no-log", is_flag=True, help="No contender writes its log line for each message.")
@click.option(
    "--docs", is_flag=True, help="Write the figures into docs/benchmarks.md, with the plot."
)
@click.option(
    "--json",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    default=environment.HERE / "comparison.json",
    help="Where the whole result goes.  [default: var/bench/comparison.json]",
)
@click.pass_context
def main(context: click.Context, /, target: Path, contenders: str, **options: Any) -> None:
    """Measures the service beside what a user would pick instead, in one run.

    Each contender does the same work on a Redis of its own, in turn, again and again; what counts
    are the ratios within a run. The full run takes about a quarter of an hour. `bench/run growth`
    measures the service alone, as its queue, its messages and its partitions grow.

    Examples: bench/run --quick; bench/run --contenders ours,ours=/tmp/other --fsync always
    """
    if context.invoked_subcommand:
        return
    values = {**(QUICK if options["quick"] else FULL), **_given(options)}
    try:
        plan = _plan(contenders, values, options)
        comparison = compare.Comparison(plan, lambda run: say(rendering.line(run)))
    except KNOWN_ERRORS as error:
        raise click.ClickException(str(error)) from None
    try:
        comparison.run()
    except KNOWN_ERRORS as error:
        _write(target.with_suffix(".partial.json"), {"runs": comparison.runs})
        raise click.ClickException(str(error)) from None
    told = _log(options)
    result = {
        "format": 1,
        "machine": host.facts(),
        "contenders": {who.name: who.title for who in plan.contenders},
        "options": {**values, "log": told},
        "runs": comparison.runs,
        "targets": [found.as_dict() for found in stats.targets(comparison.runs)],
    }
    _write(target, result)
    _print(result)
    if options["docs"]:
        publish.write_comparison(result)


@main.command(name="growth")
@click.option("--seconds", type=int, default=5, show_default=True, help="Of each measurement.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Of each comparison.")
@click.option(
    "--entries", type=int, default=1_000_000, show_default=True, help="In the queue that is full."
)
@click.option(
    "--messages",
    type=int,
    default=1_000_000,
    show_default=True,
    help="Over which a worker's memory is watched.",
)
@click.option(
    "--only",
    type=click.Choice(growth.PARTS),
    multiple=True,
    help="Leave out all others; may be given several times.",
)
@click.option("--docs", is_flag=True, help="Write the figures into docs/benchmarks.md.")
@click.option(
    "--json",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    default=environment.HERE / "growth.json",
    help="Where the whole result goes.  [default: var/bench/growth.json]",
)
def grow(target: Path, only: tuple[str, ...], docs: bool, **options: Any) -> None:
    """Measures the service alone, as its queue, its messages and its partitions grow."""
    try:
        found = growth.run(growth.Options(**options), only or growth.PARTS, say)
    except KNOWN_ERRORS as error:
        raise click.ClickException(str(error)) from None
    result = {"format": 1, "machine": host.facts(), "options": options, **found}
    _write(target, result)
    console = _console()
    for table in growth.tables(found):
        console.print(table)
    if docs:
        publish.write_growth(result)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in FULL if options[name] is not None}


def _log(options: dict[str, Any]) -> str:
    return "warning" if options["no_log"] else "info"


def _plan(names: str, values: dict[str, Any], options: dict[str, Any]) -> compare.Plan:
    found = []
    for name in names.split(","):
        try:
            one = contender.find(name)
        except KeyError:
            raise click.BadParameter(f"{name} is none of them", param_hint="--contenders") from None
        if one is None:
            say(f"bench: without {name}: this machine has no node and npm")
        else:
            found.append(one)
    return compare.Plan(
        contenders=tuple(found),
        rounds=values["rounds"],
        seconds=values["seconds"],
        connections=tuple(int(text) for text in values["connections"].split(",")),
        fsyncs=tuple(values["fsync"].split(",")),
        at_rate=not options["no_rate"],
        log_level=_log(options),
    )


def _print(result: dict[str, Any]) -> None:
    console = _console()
    found = rendering.rows(result["runs"])
    for load in dict.fromkeys(row.load for row in found):
        console.print(rendering.table(found, load))
    console.print(rendering.targets_table(result["targets"]))


def _console() -> Console:
    # In a file or a pipe there is no terminal whose width could be asked for.
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _write(target: Path, result: dict[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    say(f"bench: the whole result is in {target}")


if __name__ == "__main__":
    main(prog_name="bench/run")
