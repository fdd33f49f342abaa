"""The load: wrk as fast as answers come (closed), or our own generator at a fixed rate (open)."""

import itertools
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.load import messages, open_loop
from bench.load.messages import Parts
from bench.report import stats
from bench.rig import environment

PATH = "/cb"
HOST = "127.0.0.1"
SCRIPT = Path(__file__).with_name("wrk.lua")
STEP = 10**7
TIMEOUT_S = 10
SETTLE_S = 1.0


class Numbers:
    """Hands out the numbers of messages, so that no two of a contender's messages are the same.

    Every contender gets the same ones, so that what they leave behind can be compared.
    """

    def __init__(self) -> None:
        """Begins at one."""
        self._steps = itertools.count()

    def next(self) -> int:
        """The first of a range of ten million."""
        return next(self._steps) * STEP + 1


def closed(
    port: int, parts: Sequence[Parts], folder: Path, *, connections: int, seconds: int, first: int
) -> dict[str, Any]:
    """Drives a server as fast as it answers, with wrk, which knows whole seconds only.

    Returns what wrk.lua prints.

    At the end as many messages as there are connections may be under way, which nobody waits for.

    Raises:
        RuntimeError: wrk failed.
        environment.MissingToolError: there is no wrk.
    """
    table = folder / "messages.lua"
    table.write_text(messages.as_lua(parts))
    done = subprocess.run(
        [
            *(environment.wrk(), "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_S}s"),
            *("--script", str(SCRIPT), f"http://{HOST}:{port}{PATH}"),
            *("--", str(table), str(first)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**told, "kept": told["answers"] - told["refused"], "rate": None}


def at_rate(
    port: int, parts: Sequence[Parts], *, rate: float, connections: int, seconds: int, first: int
) -> dict[str, Any]:
    """Sends at a fixed rate; latencies are from when a message was due."""
    generator = open_loop.Generator(
        (HOST, port),
        lambda number: messages.body(parts, number),
        path=PATH,
        connections=connections,
    )
    outcome = generator.run(rate, seconds + SETTLE_S, first=first, settle_s=SETTLE_S)
    latencies = outcome.latencies_ms
    return {
        "seconds": seconds + SETTLE_S,
        "rate": rate,
        "kept": outcome.kept,
        "refused": 0,
        "broken": outcome.failed,
        **{f"{name}_ms": stats.percentile(latencies, share) for name, share in SHARES.items()},
        "max_ms": max(latencies),
    }


SHARES = {"p50": 50, "p99": 99, "p999": 99.9}
