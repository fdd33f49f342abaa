"""Where the contenders' dependencies are: installed under var/, never into the service's .venv.

`python -m bench.rig.environment` installs them and does nothing else.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
HERE = ROOT / "var" / "bench"
VENV = HERE / "venv"
NODE = HERE / "node"
REQUIREMENTS = ROOT / "bench" / "requirements.lock"
FASTIFY = ROOT / "bench" / "contenders" / "fastify"


class MissingToolError(Exception):
    """Something that the measurement needs is not there; the message says what to do."""


def python() -> Path:
    """The interpreter of the Python contenders; installs what it needs first, if need be.

    Raises:
        MissingToolError: that did not work.
    """
    wanted = REQUIREMENTS.read_text()
    stamp = VENV / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        say("bench: installing the Python contenders into var/bench/venv")
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        pip = [str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)])
        stamp.write_text(wanted)
    return VENV / "bin" / "python"


def node_server() -> Path | None:
    """The Fastify contender's program, with its packages beside it; None without node and npm.

    Raises:
        MissingToolError: the packages could not be installed.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    wanted = (FASTIFY / "package-lock.json").read_text()
    stamp = NODE / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        say("bench: installing the Node contender into var/bench/node")
        NODE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FASTIFY / name, NODE)
        _run(
            [
                "npm",
                "ci",
                "--ignore-scripts",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(NODE),
            ]
        )
        stamp.write_text(wanted)
    # Node looks for packages beside the program.
    return Path(shutil.copy(FASTIFY / "server.js", NODE))


def wrk() -> str:
    """The path of the load generator.

    Raises:
        MissingToolError: it is not installed.
    """
    found = shutil.which("wrk")
    if not found:
        raise MissingToolError("wrk is needed: on Debian or Ubuntu, install the package wrk.")
    return found


def say(text: str) -> None:
    """A line of progress, beside the results."""
    click.echo(text, err=True)


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingToolError(f"{' '.join(words[:3])} … failed:\n{done.stderr[-1000:]}")


if __name__ == "__main__":
    python()
    node_server()
