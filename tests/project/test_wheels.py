"""Every locked package has a wheel for each platform, so that an installation needs no compiler."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from testbed.programs import MissingProgramError

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# The glibc of Debian 10, RHEL 8 and later; macOS as uv assumes it.
PLATFORMS = (
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_28",
    "aarch64-apple-darwin",
    "x86_64-apple-darwin",
)
# What is compiled there: gevent has no wheel of macOS for Python 3.11.
COMPILED = {
    ("3.11", "aarch64-apple-darwin"): {"gevent"},
    ("3.11", "x86_64-apple-darwin"): {"gevent"},
}


@cache
def index_of_pip() -> Mapping[str, str]:
    """The index that pip is set to, for uv."""
    pip = (sys.executable, "-m", "pip", "config", "list")
    listed = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    found = re.search(r"index-url='([^']+)'", re.sub(r"extra-index-url=.*", "", listed))
    return {"UV_DEFAULT_INDEX": found[1]} if found else {}


def without_wheel(lock: str, python: str, platform: str, target: Path) -> set[str]:
    """The packages of a lock file that have no wheel for a platform; installs nothing."""
    without: set[str] = set()
    while True:
        options = [f"--no-binary={name}" for name in sorted(without)]
        command = [
            *map(str, (UV, "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "-q")),
            *(f"--target={target}", f"--python-platform={platform}", f"--python-version={python}"),
            *("--only-binary=:all:", *options, "-r", str(ROOT / f"{lock}.lock")),
        ]
        environ = {**os.environ, **index_of_pip()}
        run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if not run.returncode:
            return without
        found = set(re.findall(r"([\w.-]+)==\S+ has no usable wheels", run.stderr)) - without
        if not found:
            raise MissingProgramError(f"the index cannot be asked: {run.stderr[-1000:]}")
        without |= found


@pytest.mark.slow
@pytest.mark.installs
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_locked_package_has_a_wheel(python: str, platform: str, tmp_path: Path) -> None:
    expected = COMPILED.get((python, platform), set())
    for lock in ("requirements", "requirements-dev"):
        assert without_wheel(lock, python, platform, tmp_path) == expected, lock
