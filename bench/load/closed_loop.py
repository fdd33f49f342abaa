"""The closed loop: wrk sends the next request when the response to the last one is there."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.load.messages import PATH, Template, as_lua
from testbed.ports import HOST

SCRIPT = Path(__file__).with_name("wrk.lua")
TIMEOUT_S = 10


def drive(
    port: int,
    templates: Sequence[Template],
    folder: Path,
    *,
    connections: int,
    seconds: int,
    first: int,
) -> dict[str, Any]:
    """Runs wrk, which takes whole seconds only.

    At the end it leaves up to one request per connection without waiting for the response.

    Args:
        port: of 127.0.0.1.
        templates: of the messages.
        folder: for a file that wrk reads.
        connections: the number of connections.
        seconds: how long.
        first: the number of the first message.

    Returns:
        What wrk.lua prints, `kept` (responses of 200), and `rate`: None.

    Raises:
        BenchError: wrk is not installed, or failed.
    """
    chunk = folder / "messages.lua"
    chunk.write_text(as_lua(templates))
    run = subprocess.run(
        [
            *(_find_wrk(), "--threads", "1", "--connections", str(connections)),
            *("--duration", f"{seconds}s", "--timeout", f"{TIMEOUT_S}s"),
            *("--script", str(SCRIPT), f"http://{HOST}:{port}{PATH}"),
            *("--", str(chunk), str(first)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise BenchError(f"wrk failed: {run.stdout}{run.stderr}")
    figures: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return {**figures, "kept": figures["answers"] - figures["refused"], "rate": None}


def _find_wrk() -> str:
    wrk = shutil.which("wrk")
    if not wrk:
        raise BenchError("wrk is needed: on Debian or Ubuntu, install the package wrk.")
    return wrk
