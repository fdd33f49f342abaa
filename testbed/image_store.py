"""Container images without an engine: buildah with a storage of its own, and base images made by debootstrap."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from testbed.process import ROOT, ChildProcess
from testbed.programs import MissingProgramError, find_program

# What the images of Debian leave out of a root that debootstrap makes, and what they configure in it.
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)
CONFIGURED = {
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
}


class ImageError(Exception):
    """buildah or debootstrap failed; the message holds the end of what it wrote."""


class ImageStore:
    """A folder with images; a context manager that removes it with all that is in it.

    Raises:
        MissingProgramError: buildah or debootstrap is not installed, or this process is not root's.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise MissingProgramError("images can be built by root alone: run the tests as root")
        self._buildah, self._debootstrap = find_program("buildah"), find_program("debootstrap")
        # Not in /tmp, which may be in memory: every layer is a copy of the whole root.
        self.folder = Path(tempfile.mkdtemp(prefix="fota-images-", dir="/var/tmp"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder, unless something is still mounted below it.

        Raises:
            ImageError: something is; the message names it.
        """
        if found := mounts_below(self.folder):
            raise ImageError(f"still mounted: {', '.join(found)}")
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True)

    def buildah(self, *words: str | Path) -> str:
        """Runs one of buildah's commands on this storage; what it wrote to its standard output."""
        places = [f"--root={self.folder / 'root'}", f"--runroot={self.folder / 'run'}"]
        # It needs neither an engine nor a file system of a special kind.
        environ = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder)}
        return _run([self._buildah, *places, "--storage-driver=vfs", *words], environ)

    def add_debian(self, name: str, suite: str) -> None:
        """Makes an image like Debian's smallest ones, from the packages of the mirror that this machine uses.

        Args:
            name: the image's whole name, with its registry.
            suite: Debian's name of the release, such as `trixie`.
        """
        container = self.buildah("from", "scratch").strip()
        root = Path(self.buildah("mount", container).strip())
        # In a namespace of its own, debootstrap leaves no mount behind, whatever becomes of it.
        command = ("unshare", "--mount", self._debootstrap, "--variant=minbase", suite, root)
        _run([*command, *debian_mirror()], os.environ)
        for path in LEFT_OUT:
            shutil.rmtree(root / path)
            (root / path).mkdir()
        for path, text in CONFIGURED.items():
            (root / path).write_text(text)
        self.buildah("umount", container)
        self.buildah("commit", "--quiet", "--rm", container, name)

    def build(self, name: str, *options: str, folder: Path = ROOT) -> None:
        """Builds the Dockerfile of a folder, from images that are here alone.

        Args:
            name: the new image's.
            options: more of `buildah build`'s.
            folder: the context of the build.
        """
        # In Docker's format, since OCI's has no health check.
        self.buildah("build", "--pull-never", "--format=docker", f"--tag={name}", *options, folder)

    def config(self, name: str) -> dict[str, Any]:
        """An image's configuration, as the specification of Docker's images names it: Cmd, Env, Labels, User …"""
        found = json.loads(self.buildah("inspect", "--type=image", name))
        config: dict[str, Any] = found["Docker"]["config"]
        return config

    def history(self, name: str) -> list[str]:
        """The instructions that an image keeps of its making."""
        found = json.loads(self.buildah("inspect", "--type=image", name))
        return [str(entry.get("created_by")) for entry in found["History"]]

    def unpack(self, name: str) -> Path:
        """The root folder of an image, which goes with the storage."""
        container = self.buildah("from", "--pull-never", name).strip()
        return Path(self.buildah("mount", container).strip())


def _run(command: Sequence[str | Path], environ: Mapping[str, str]) -> str:
    # However this ends, by a time limit or Ctrl-C, no descendant goes on to write below the folder.
    child = ChildProcess(*command, environ=environ)
    child.stdout = subprocess.PIPE
    with child:
        output = child.output.read()
        if status := child.wait():
            end = (output + child.log())[-4000:]
            raise ImageError(f"{command[0]} ended with status {status}: {end}")
    return output


def debian_mirror() -> list[str]:
    """The mirror of Debian that apt uses on this machine; none, for debootstrap's own choice, on another system."""
    if not shutil.which("apt-get"):
        return []
    query = ["Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"]
    found = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *query], os.environ)
    return found.split()[:1]


def mounts_below(folder: Path) -> list[str]:
    """What is mounted below a folder, in this process's own namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [point for line in lines if Path(point := line.split()[4]).is_relative_to(folder)]
