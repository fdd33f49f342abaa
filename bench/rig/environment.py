"""Installs the contenders' dependencies below var/bench, never into the service's .venv."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from bench.errors import BenchError

ROOT = Path(__file__).parents[2]
VAR = ROOT / "var" / "bench"
VENV = VAR / "venv"
NODE = VAR / "node"
REQUIREMENTS = ROOT / "bench" / "requirements.lock"
FASTIFY = ROOT / "bench" / "contenders" / "fastify"
NPM_CI = ("npm", "ci", "--ignore-scripts", "--silent", "--no-audit", "--no-fund")


def python() -> Path:
    """The interpreter of the Python contenders; installs their packages first if need be.

    Raises:
        BenchError: the packages could not be installed.
    """
    lock, stamp = REQUIREMENTS.read_text(), VENV / "installed"
    if not _is_installed(stamp, lock):
        report("bench: installing the Python contenders into var/bench/venv")
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        pip = [str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)])
        stamp.write_text(lock)
    return VENV / "bin" / "python"


def node_server() -> Path | None:
    """The Fastify contender's program with its packages beside it; None without node and npm.

    Raises:
        BenchError: the packages could not be installed.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    lock, stamp = (FASTIFY / "package-lock.json").read_text(), NODE / "installed"
    if not _is_installed(stamp, lock):
        report("bench: installing the Node contender into var/bench/node")
        NODE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FASTIFY / name, NODE)
        _run([*NPM_CI, "--prefix", str(NODE)])
        stamp.write_text(lock)
    # Node looks for packages beside the program.
    return Path(shutil.copy(FASTIFY / "server.js", NODE))


def report(line: str) -> None:
    """Prints a line of progress to standard error."""
    click.echo(line, err=True)


def _is_installed(stamp: Path, lock: str) -> bool:
    return stamp.exists() and stamp.read_text() == lock


def _run(words: Sequence[str]) -> None:
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode:
        raise BenchError(f"{' '.join(words[:3])} … failed:\n{run.stderr[-1000:]}")
