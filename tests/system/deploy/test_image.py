"""What the Dockerfile makes of the checkout: buildah builds the image, and its command runs in its root as process 1.

Two things are stood in for:

- The base image, because no registry is asked. debootstrap makes one of the same release of Debian, from Debian's own
  packages and with what Debian's images configure, and it gets the name that the Dockerfile has.
- The engine, by what it makes of the image's configuration: a root that is read-only but for the volume and /tmp, a
  process table of its own, and the image's user, environment, folder, command, health check and signal.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests

from testbed.image_store import ImageStore
from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.redis_servers import redis_process
from testbed.registrar_process import TOKEN, gone, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import Service
from tests.support.deploy_files import ROOT, base_images

# The first test waits for the image, which is built once.
pytestmark = [pytest.mark.slow, pytest.mark.installs, pytest.mark.timeout(1200)]
NAME = "localhost/thingspace-fota-listener:test"
# Debian's names of the releases that the Dockerfile may be based on.
RELEASES = {"debian:13-slim": "trixie"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BUILT = "2026-02-03T04:05:06Z"
SOURCE = "https://git.example.com/fleet/listener"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_SECRET = "what-no-layer-may-keep-of-pips-configuration"
MAX_SIZE_MB = 200
MESSAGE = '{"type": "upgradeFinished", "upgradeFinished": {"upgradeId": "u"}}'

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
# Its arguments are the root, the volume, the user, the working directory, and the command.
CONTAINER = """
set -e
root=$0 volume=$1 user=$2 folder=$3
shift 3
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs tmp
mount --bind "$volume" ./var/lib/thingspace-fota
mount -o remount,bind,ro "$root"
exec chroot --userspec="$user" "$root" env --chdir="$folder" "$@"
"""


@dataclass(frozen=True)
class Image:
    """The image's configuration, the instructions it was made by, and its root folder."""

    config: dict[str, Any]
    history: list[str]
    root: Path

    @property
    def environ(self) -> dict[str, str]:
        return dict(text.split("=", 1) for text in self.config["Env"])

    @property
    def user(self) -> int:
        return int(self.config["User"].partition(":")[0])

    def run(self, *command: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command in it by hand, as its user."""
        enter = ("chroot", f"--userspec={self.config['User']}", self.root)
        return subprocess.run(
            [*enter, "env", f"--chdir={self.config['WorkingDir']}", *command],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )

    def files(self) -> Iterator[Path]:
        """Everything in it, by whole paths of this machine."""
        for folder, folders, files in os.walk(self.root):
            yield from (Path(folder, name) for name in (*folders, *files))


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with ImageStore() as store:
        [base] = base_images()
        store.add_debian(f"docker.io/library/{base}", RELEASES[base])
        # The stand-in has another digest.
        dockerfile = re.sub(r"@sha256:\w+", "", (ROOT / "Dockerfile").read_text())
        (store.folder / "Dockerfile").write_text(dockerfile)
        arguments = {"BUILD_COMMIT": COMMIT, "BUILD_TIME": BUILT, "SOURCE_URL": SOURCE}
        options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        options.append(f"--file={store.folder / 'Dockerfile'}")
        store.build(NAME, *options, *secrets(store.folder))
        yield Image(store.config(NAME), store.history(NAME), store.unpack(NAME))
        folder = store.folder
    assert not folder.exists()


def secrets(folder: Path) -> list[str]:
    """The options of the build that lead pip to where this machine gets its packages."""
    pip = [sys.executable, "-m", "pip", "config"]
    listed = subprocess.run([*pip, "list"], capture_output=True, text=True, check=True).stdout
    indexes = re.findall(r"\.(index-url|timeout)='(.+)'", listed)
    lines = ["[global]", f"# {PIP_SECRET}", *(f"{name} = {value}" for name, value in indexes)]
    (folder / "pip.conf").write_text("\n".join(lines))
    authorities = [f"--secret=id=ca.pem,src={AUTHORITIES}"] if AUTHORITIES.exists() else []
    return [f"--secret=id=pip.conf,src={folder / 'pip.conf'}", *authorities]


def test_labels_say_what_it_is_made_of(image: Image) -> None:
    found = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in image.config["Labels"].items()
        if name.startswith("org.opencontainers.image.")
    }
    assert found.pop("description")
    assert found == {
        "title": "thingspace-fota-listener",
        "version": version(),
        "licenses": "MIT",
        "revision": COMMIT,
        "created": BUILT,
        "source": SOURCE,
    }
    assert datetime.fromisoformat(found["created"]).tzinfo


def version() -> str:
    [found] = re.findall(r'__version__ = "(.+)"', (ROOT / "listener/__init__.py").read_text())
    return str(found)


def test_it_has_no_installer_no_compiler_and_no_cache(image: Image) -> None:
    installers = re.compile(r"(pip|setuptools|wheel|ensurepip)(-.+)?|.+\.whl")
    compilers = re.compile(r"(cc|gcc|g\+\+|make)(-\d+)?")
    found = {
        path.relative_to(image.root)
        for path in image.files()
        if installers.fullmatch(path.name)
        or (compilers.fullmatch(path.name) and path.parent.name == "bin")
    }
    assert found == set()
    for folder in ("var/lib/apt/lists", "var/cache", "var/log", "root/.cache", "tmp"):
        path = image.root / folder
        assert not path.exists() or list(path.iterdir()) == [], folder


def test_build_leaves_no_secret_in_it(image: Image) -> None:
    assert PIP_SECRET not in "".join(image.history) + str(image.config)
    needle = PIP_SECRET.encode()
    found = [path for path in image.files() if path.is_file() and needle in path.read_bytes()]
    assert found == []
    assert not list(image.root.glob("run/secrets/*"))


def test_its_user_may_write_nothing_but_the_volume_and_temporary_files(image: Image) -> None:
    assert image.config["User"] == "10001:10001"
    volume = image.root / "var/lib/thingspace-fota"
    assert list(image.config["Volumes"]) == [f"/{volume.relative_to(image.root)}"]
    found = {
        f"/{path.relative_to(image.root)}"
        for path in image.files()
        if not path.is_symlink()
        and (path.stat().st_uid == image.user or path.stat().st_mode & 0o002)
        # The engine mounts its own.
        and image.root / "dev" not in path.parents
    }
    assert found == {"/run/lock", "/tmp", "/var/lib/thingspace-fota", "/var/tmp"}


def test_it_is_small(image: Image) -> None:
    files = {(stat.st_dev, stat.st_ino): stat.st_size for stat in map(os.lstat, image.files())}
    assert sum(files.values()) / 1e6 < MAX_SIZE_MB


def test_it_registers_keeps_messages_and_deregisters_on_sigterm(
    image: Image, tmp_path: Path
) -> None:
    # At a port, since a Unix socket of this machine is no file of the container.
    with redis_process.running(tmp_path, port=free_port()) as url, Sandbox() as sandbox:
        with container(image, tmp_path, settings(sandbox, tmp_path, REDIS_URL=url)) as service:
            wait_until_registered(service)
            assert healthy(image, service)
            assert service.post(MESSAGE, f"/cb/{TOKEN}").status_code == 200
            told = requests.get(f"{service.ops_url}/version", timeout=10).json()
            assert (told["version"], told["commit"]) == (version(), COMMIT)
            first, *others = family(service)
            assert {process.uids().real for process in (first, *others)} == {image.user}
            assert "denied" in read_as(image.user, f"/proc/{first.pid}/environ")
            # An engine signals process 1 alone.
            first.send_signal(getattr(signal, image.config["StopSignal"]))
            assert service.wait() == 0, service.log()
            assert '"event":"deregistered"' in service.log()
        wait_until(lambda: gone([process.pid for process in (first, *others)]))
        assert sandbox.registered_url() is None
        assert not healthy(image, service)
        stats = image.run("fota", "stats", "--json", REDIS_URL=url)
        assert stats.returncode == 0, stats.stderr
        with redis.Redis.from_url(url) as client:
            assert client.xlen("{fota:0}:messages") == 1


def container(image: Image, folder: Path, environ: dict[str, str]) -> Service:
    """The image's command as an engine starts it, with a new volume below `folder`."""
    [path] = image.config["Volumes"]
    volume = folder / "volume"
    volume.mkdir()
    # An engine makes a new volume like the folder in the image.
    like = Path(f"{image.root}{path}").stat()
    os.chown(volume, like.st_uid, like.st_gid)
    volume.chmod(like.st_mode)
    places = (str(image.root), str(volume), image.config["User"], image.config["WorkingDir"])
    own = {name: value for name, value in image.environ.items() if name != "PORT"}
    words = (*UNSHARE, "sh", "-c", CONTAINER, *places, *image.config["Cmd"])
    return Service(*words, **environ | own)


def family(service: Service) -> list[psutil.Process]:
    """The container's processes, its process 1 first."""
    [first] = psutil.Process(service.pid).children()
    return [first, *first.children(recursive=True)]


def healthy(image: Image, service: Service) -> bool:
    """What the image's health check says."""
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    return image.run(*command, PORT=str(service.port)).returncode == 0


def read_as(user: int, path: str) -> str:
    """The error of a process of this user that reads a file."""
    done = subprocess.run(["cat", path], user=user, capture_output=True, text=True, check=False)
    return done.stderr
