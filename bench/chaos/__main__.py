"""The command line `bin/chaos`: injects faults into the service and checks every message."""

import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from bench.chaos import report, runner
from bench.chaos.environments.single import can_mount
from bench.chaos.fault import Fault
from bench.chaos.faults import FAULTS

# Of the table where there is no terminal.
WIDTH = 132
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXAMPLES = """\b
Examples:
  bin/chaos --rounds 50 --json var/chaos.json
  bin/chaos --fault redis-kill --fault worker-kill --rounds 10 --seed 7
  bin/chaos --fault outage-60s --rate 200
  REDIS_SERVER=/usr/bin/valkey-server bin/chaos --durability fsync
"""
CATALOGUE = "\n".join(f"  {name:<17} {fault.sentence}" for name, fault in FAULTS.items())


@click.command(epilog=f"{EXAMPLES}\n\b\nFaults:\n{CATALOGUE}")
@click.option("--rounds", type=click.IntRange(1), help="In all. Default: one of each fault.")
@click.option(
    "--fault",
    "names",
    multiple=True,
    type=click.Choice(list(FAULTS)),
    metavar="NAME",
    help="Only this one; may be repeated. Default: all that last less than a minute and are possible here.",
)
@click.option("--seed", type=int, help="Repeats the choices of an earlier run. Default: random.")
@click.option("--rate", type=click.FloatRange(1, 1000), default=150, show_default=True)
@click.option(
    "--durability",
    type=click.Choice(["server", "fsync"]),
    default="server",
    show_default=True,
    help="Of the service with one Redis; with several it is replicas:1.",
)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
def main(
    *,
    rounds: int | None,
    names: Sequence[str],
    seed: int | None,
    rate: float,
    durability: str,
    file: Path | None,
) -> None:
    """Injects faults into the service while messages arrive, and checks what became of each message.

    Everything is real and on loopback: gunicorn, Redis, RATE messages a second. The Redis server is
    REDIS_SERVER, if that is set (bin/servers prints some). The exit status is 1 if an acknowledged
    message was lost or doubled (late duplicates included), an answer took 2 s or more, a message was
    refused that could have been kept, a message remained in the spool or was set aside after the
    fault, or neither /readyz nor check reported a fault that lasted. FILE gets the table's figures as JSON.
    """
    _exit_on_first_signal()
    faults, left_out = _possible(names)
    seed = random.randrange(2**32) if seed is None else seed
    rng = random.Random(seed)
    scheduled = runner.schedule(faults, rounds or len(faults), rng)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(f"{len(scheduled)} rounds, {rate:g} messages a second, {durability}, seed {seed}")
    if left_out:
        console.print(f"left out, for want of a right or a compiler: {', '.join(left_out)}")
    began = time.monotonic()
    settings = {"QUEUE_DURABILITY": durability}
    with tempfile.TemporaryDirectory(prefix="fota-") as folder:
        on_round = partial(_print_round, console)
        results = report.by_fault(
            runner.run(scheduled, Path(folder), rate, rng, settings=settings, on_round=on_round)
        )
    took_s = round(time.monotonic() - began, 1)
    if file:
        run = {
            "seed": seed,
            "rate": rate,
            "durability": durability,
            "left_out": left_out,
            "took_s": took_s,
        }
        file.write_text(json.dumps(report.as_json(results, **run), indent=2) + "\n")
    _print_report(console, results, took_s)
    sys.exit(not report.passed(results))


def _possible(names: Sequence[str]) -> tuple[list[Fault], list[str]]:
    """The named faults, or all short ones; and the names of those that are impossible here.

    Raises:
        click.UsageError: a named fault is impossible.
    """
    if names:
        faults = [FAULTS[name] for name in dict.fromkeys(names)]
    else:
        faults = [fault for fault in FAULTS.values() if not fault.is_long]
    impossible = [fault for fault in faults if _lacks(fault)]
    if names and impossible:
        raise click.UsageError(f"{impossible[0].name} needs {_lacks(impossible[0])}.")
    possible = [fault for fault in faults if fault not in impossible]
    return possible, [fault.name for fault in impossible]


def _lacks(fault: Fault) -> str | None:
    """What the fault needs that this machine does not offer."""
    if fault.mounts and not can_mount():
        return "the right to mount a file system"
    return "a C compiler" if fault.compiles and not shutil.which("cc") else None


def _print_round(console: Console, done: runner.Round) -> None:
    kept = "not all kept in time" if done.kept_s is None else f"kept after {done.kept_s:.1f} s"
    lasted_s, sent = done.ended - done.began, len(done.ledger.messages)
    console.print(
        f"  {done.fault.name:<17} lasted {lasted_s:5.1f} s, {sent} sent, {kept}", highlight=False
    )


def _print_report(console: Console, results: Sequence[report.FaultResult], took_s: float) -> None:
    console.print(report.table(results))
    for result in results:
        for problem in result.problems:
            console.print(f"{result.fault.name}: {problem}", style="red")
    console.print(f"{took_s:.0f} s, {'passed' if report.passed(results) else 'failed'}")


def _exit_on_first_signal() -> None:
    """The first signal ends the run in good order; further signals are ignored meanwhile."""

    def stop(number: int, _: FrameType | None) -> None:
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(128 + number)

    for each in STOP_SIGNALS:
        signal.signal(each, stop)


if __name__ == "__main__":
    main()
