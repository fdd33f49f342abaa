"""The folder in which the processes of a service keep what they count; made and removed by itself.

prometheus_client asks for its name when it is first imported: so the folder is prepared before, and
this module does not import it.
"""

import os
import re
import shutil
import struct
import tempfile
from pathlib import Path

from listener.memory_folder import memory_folder

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "fota-metrics-"
# Containers may share the folder for temporary files, and each numbers its processes by itself: the
# name tells in whose numbering the owner is meant.
NAMESPACE = Path("/proc/self/ns/pid")
OWNER_FORM = re.compile(rf"{PREFIX}(\d+)-(\d+)-")
WRITER_FORM = re.compile(r"_(\d+)\.db")
# The files that prometheus_client gives to a process with counters and histograms, and more than
# all of ours take in them.
SORTS = ("counter", "histogram")
RESERVED_BYTES = 2**20
# What must be free in memory for the folder to lie there: enough for twenty processes.
ROOM_BYTES = 20 * len(SORTS) * RESERVED_BYTES


def prepare() -> str | None:
    """Makes the folder and names it to this process and its children, unless the parent did.

    Removes what killed services left behind. Returns why nothing can be counted, or None: that is
    no reason not to start.
    """
    try:
        if not os.environ.get(VARIABLE):
            for parent in {Path(tempfile.gettempdir()), memory_folder()}:
                if parent:
                    _remove_abandoned(parent)
            prefix = f"{PREFIX}{_namespace()}-{os.getpid()}-"
            os.environ[VARIABLE] = tempfile.mkdtemp(prefix=prefix, dir=memory_folder(ROOM_BYTES))
        reserve()
    except OSError as error:
        remove()
        os.environ.pop(VARIABLE, None)
        return str(error)
    return None


def reserve() -> None:
    """Takes the room for this process's files on the disk; to be called after a fork.

    prometheus_client maps sparse files: on a full disk the first write to a new page would kill the
    process (SIGBUS), and its messages with it. A file gets its name once it has its room: whoever adds
    up the counts meanwhile could not read an empty one.

    Raises:
        OSError: there is no room, or no folder.
    """
    folder = Path(os.environ.get(VARIABLE, ""), "")
    for sort in SORTS:
        path = folder / f"{sort}_{os.getpid()}.db"
        # One that is there may be in use, by this very process.
        made = path if path.exists() else path.with_suffix(".new")
        file = os.open(made, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, RESERVED_BYTES)
        finally:
            os.close(file)
        made.rename(path)


def shrink(pid: int) -> None:
    """Gives back what a process that ended had reserved; what it counted stays."""
    for sort in SORTS:
        path = Path(os.environ.get(VARIABLE, ""), f"{sort}_{pid}.db")
        try:
            with path.open("r+b") as file:
                # The first number in the file says how much of it is in use.
                (used,) = struct.unpack("i", file.read(4))
                file.truncate(max(used, 8))
        except (OSError, struct.error):
            # It had none, or never came as far as writing to it.
            continue


def remove() -> None:
    """Removes the folder, if this process made it."""
    folder = Path(os.environ.get(VARIABLE, ""))
    owner = OWNER_FORM.match(folder.name)
    if owner and (int(owner[1]), int(owner[2])) == (_namespace(), os.getpid()):
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        writers = (WRITER_FORM.search(file.name) for file in folder.glob("*.db"))
        owner = OWNER_FORM.match(folder.name)
        if owner is None or int(owner[1]) != _namespace():
            continue
        pids = [int(owner[2]), *(int(found[1]) for found in writers if found)]
        if not any(_lives(pid) for pid in pids):
            shutil.rmtree(folder, ignore_errors=True)


def _namespace() -> int:
    """In whose numbering this process's number is meant; 0 where a system has only one."""
    return NAMESPACE.stat().st_ino if NAMESPACE.exists() else 0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another user's: alive.
        return True
    try:
        # A killed process keeps its number until whoever inherited it collects it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        # A system that does not tell so much; or it ended just now, and the next start will see that.
        return True
