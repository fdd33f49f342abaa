"""The package as its users have it: built from the checkout, installed into environments with nothing else in them.

It imports none of our packages, so that system tests can use it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from testbed.process import BIN, ROOT
from testbed.programs import MissingProgramError

UV = BIN / "uv"
# The highest versions of the ranges that pyproject.toml allows and that are tested.
PINS = ROOT / "requirements.txt"
TIMEOUT_S = 300.0
# How uv and pip say that an index does not answer.
UNREACHABLE = ("Failed to fetch", "(from versions: none)")


class IndexUnreachableError(MissingProgramError):
    """The package index does not answer, and what was downloaded earlier is not enough."""


class InstallationError(Exception):
    """uv or pip refused; the message is its own."""


def uv(*arguments: str | Path, folder: Path = ROOT) -> str:
    """What uv prints on standard output. Without an index it takes what was downloaded earlier.

    Raises:
        IndexUnreachableError: that is not enough.
        InstallationError: it failed otherwise.
    """
    try:
        return _install(UV, *arguments, folder=folder)
    except IndexUnreachableError as unreachable:
        try:
            return _install(UV, *arguments, "--offline", folder=folder)
        except InstallationError:
            raise unreachable from None


def _install(*command: str | Path, folder: Path) -> str:
    # In this process's environment, which may name another index; but not for the project's own .venv.
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    if any(sign in done.stderr for sign in UNREACHABLE):
        raise IndexUnreachableError(f"the package index does not answer: {done.stderr[-500:]}")
    raise InstallationError(done.stderr)


def build(folder: Path, *options: str) -> list[Path]:
    """Builds the package from the checkout; the files: without options a wheel, made from the sdist, and the sdist."""
    uv("build", *options, "--out-dir", folder, ROOT)
    return sorted(folder.glob("*.[wt]*"))


class Environment:
    """A virtual environment of this Python, with nothing in it.

    Args:
        folder: where it is made; what is run there starts in an empty folder beside it.

    Attributes:
        bin: its programs.
        outside: that empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "env" / "bin"
        self.outside = folder / "outside"
        self.outside.mkdir()
        uv("venv", "--python", sys.executable, folder / "env")

    def install(self, *arguments: str | Path) -> None:
        """Installs what `uv pip install` is given."""
        uv("pip", "install", "--python", self.bin / "python", *arguments)

    def pip(self, *arguments: str | Path) -> str:
        """What pip prints, installed here by `install("pip")`.

        Raises:
            IndexUnreachableError: the index does not answer.
            InstallationError: it failed otherwise.
        """
        command = (self.bin / "python", "-m", "pip", "--disable-pip-version-check", *arguments)
        return _install(*command, folder=self.outside)

    def environ(self, **settings: str) -> dict[str, str]:
        """The environment of a process whose programs are found here first."""
        return {"PATH": f"{self.bin}:{os.environ['PATH']}", **settings}

    def run(
        self, *command: str | Path, settings: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Runs a command to its end, outside the checkout."""
        return subprocess.run(
            list(map(str, command)),
            cwd=self.outside,
            env=self.environ(**(settings or {})),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def packages(self) -> dict[str, str]:
        """What is installed, by name with its version."""
        lines = uv("pip", "list", "--python", self.bin / "python", "--format=freeze").splitlines()
        return dict(line.split("==") for line in lines)
