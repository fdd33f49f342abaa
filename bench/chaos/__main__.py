"""The command line of `bin/chaos`."""

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

from bench.chaos import report
from bench.chaos.catalogue import FAULTS
from bench.chaos.fault import Fault
from bench.chaos.runner import Round, deal, play
from bench.chaos.stages import can_mount

# Of the table where there is no terminal.
WIDTH = 132
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXAMPLES = """\b
Examples:
  bin/chaos --rounds 50 --json var/chaos.json
  bin/chaos --fault redis-kill --fault worker-kill --rounds 10 --seed 7
  bin/chaos --fault outage-60s --rate 200
  REDIS_SERVER=/usr/bin/valkey-server bin/chaos --durability fsync
"""
KNOWN = "\n".join(f"  {name:<17} {fault.sentence}" for name, fault in FAULTS.items())


@click.command(epilog=f"{EXAMPLES}\n\b\nFaults:\n{KNOWN}")
@click.option("--rounds", type=click.IntRange(1), help="In all. Default: one of each fault.")
@click.option(
    "--fault",
    "names",
    multiple=True,
    type=click.Choice(list(FAULTS)),
    metavar="NAME",
    help="Only this one; may be repeated. Default: all that take less than a minute and can be done here.",
)
@click.option("--seed", type=int, help="Makes the same choices as a run before. Default: new ones.")
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
    """Does harm to the service while messages arrive, and finds out what became of each of them.

    Everything is real and on loopback: gunicorn, Redis, RATE messages a second. The Redis
    is the one that REDIS_SERVER names, if it is set (bin/servers prints some). Ends with status 1
    if an acknowledged message was lost or doubled (late duplicates included), an answer took 2 s or
    more, a message was refused that could have been kept, something was held or set aside after
    the fault, or neither /readyz nor check reported a fault that lasted. FILE gets the figures of the table as JSON.
    """
    _stop_once()
    faults, left_out = _chosen(names)
    seed = random.randrange(2**32) if seed is None else seed
    chance = random.Random(seed)
    dealt = deal(faults, rounds or len(faults), chance)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(f"{len(dealt)} rounds, {rate:g} messages a second, {durability}, seed {seed}")
    if left_out:
        console.print(f"left out, for want of a right or a compiler: {', '.join(left_out)}")
    began = time.monotonic()
    settings = {"QUEUE_DURABILITY": durability}
    with tempfile.TemporaryDirectory(prefix="fota-") as made:
        folder, tell = Path(made), partial(_tell, console)
        found = report.lines(play(dealt, folder, rate, chance, settings=settings, tell=tell))
    took_s = round(time.monotonic() - began, 1)
    if file:
        about = {
            "seed": seed,
            "rate": rate,
            "durability": durability,
            "left_out": left_out,
            "took_s": took_s,
        }
        file.write_text(json.dumps(report.as_json(found, **about), indent=2) + "\n")
    _show(console, found, took_s)
    sys.exit(not report.passed(found))


def _chosen(names: Sequence[str]) -> tuple[list[Fault], list[str]]:
    """Those that were named, else all that are short and possible here; and which are impossible."""
    if names:
        faults = [FAULTS[name] for name in dict.fromkeys(names)]
    else:
        faults = [fault for fault in FAULTS.values() if not fault.is_long]
    impossible = [fault for fault in faults if _lacking(fault)]
    if names and impossible:
        raise click.UsageError(f"{impossible[0].name} needs {_lacking(impossible[0])}.")
    possible = [fault for fault in faults if fault not in impossible]
    return possible, [fault.name for fault in impossible]


def _lacking(fault: Fault) -> str | None:
    """What it needs that is not here."""
    if fault.mounts and not can_mount():
        return "the right to mount a file system"
    return "a C compiler" if fault.compiles and not shutil.which("cc") else None


def _tell(console: Console, played: Round) -> None:
    kept = "not all kept in time" if played.kept_s is None else f"kept after {played.kept_s:.1f} s"
    sent = len(played.ledger.messages)
    console.print(
        f"  {played.fault.name:<17} {played.ended - played.began:5.1f} s of it, {sent} sent, {kept}",
        highlight=False,
    )


def _show(console: Console, found: Sequence[report.Line], took_s: float) -> None:
    console.print(report.table(found))
    for line in found:
        for problem in line.problems:
            console.print(f"{line.fault.name}: {problem}", style="red")
    console.print(f"{took_s:.0f} s, {'passed' if report.passed(found) else 'failed'}")


def _stop_once() -> None:
    """The first signal to stop ends the run in good order; further ones do not disturb that."""

    def stop(number: int, _: FrameType | None) -> None:
        for stopping in STOPPING:
            signal.signal(stopping, signal.SIG_IGN)
        sys.exit(128 + number)

    for stopping in STOPPING:
        signal.signal(stopping, stop)


if __name__ == "__main__":
    main()
