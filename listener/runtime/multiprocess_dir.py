"""The folder of prometheus-client's multi-process mode, PROMETHEUS_MULTIPROC_DIR, and this process's files in it.

prometheus-client reads the folder's name when it is first imported: so the folder is prepared before, and this
module does not import it. The folder may be an operator's own and outlive the container. Process ids repeat
there, so a file's name is random, and a lock on it (flock) is the proof of life: the kernel releases it when
the process ends, however it ends.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from listener.runtime import file_locks, metric_files
from listener.runtime.metric_files import METRIC_TYPES, NAME_PATTERN
from listener.runtime.safe_files import is_own_folder
from listener.runtime.scratch_folders import memory_folder, temporary_folder

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Earlier versions had no locks: their folders, without the 2, are none of ours.
PREFIX = "fota-metrics-2-"
# More than all our metrics of one type take in a file.
RESERVED_BYTES = 2**20
# What must be free in memory for the folder to lie there: enough for twenty processes.
MIN_FREE_BYTES = 20 * len(METRIC_TYPES) * RESERVED_BYTES


class _Process:
    """The files of this process; a child has its parent's until it reserves its own."""

    pid = 0
    file_id = ""
    locks: tuple[int, ...] = ()
    problem: str | None = None
    made_folder: Path | None = None


def prepare() -> str | None:
    """Makes the folder and names it to this process and its children, unless the operator chose one.

    Removes what killed services left behind. Returns why nothing can be counted, or None: that is
    no reason not to start. A second call in a process, as at SIGHUP, changes nothing.
    """
    if _Process.problem:
        return _Process.problem
    try:
        if os.environ.get(VARIABLE):
            folder().mkdir(parents=True, exist_ok=True)
        else:
            _make_folder()
        reserve_files()
    except OSError as error:
        clean_up()
        os.environ.pop(VARIABLE, None)
        _Process.problem = str(error)
        return _Process.problem
    merge_dead_files()
    return None


def folder() -> Path:
    """The folder, once it is prepared."""
    return Path(os.environ.get(VARIABLE, ""))


def reserve_files() -> None:
    """Reserves the space of this process's files on the disk; to be called after a fork.

    prometheus-client maps sparse files: on a full disk the first write to a new page would kill the
    process (SIGBUS), and its messages with it. A file gets its name once it has its space and its lock.

    Raises:
        OSError: there is no space, or no folder.
    """
    if _Process.pid == os.getpid():
        return
    file_id = f"fota-{secrets.token_hex(8)}"
    locks: list[int] = []
    try:
        # One by one, so that those already there are released if a later one fails.
        for metric_type in METRIC_TYPES:
            locks += [_reserve(folder() / f"{metric_type}_{file_id}.db")]
    except OSError:
        file_locks.release(locks)
        raise
    # The parent's files count as its own alone.
    file_locks.release(_Process.locks)
    _Process.pid, _Process.file_id, _Process.locks = os.getpid(), file_id, tuple(locks)


def file_id() -> str:
    """What stands for the process id in the names of this process's files; empty: it has none."""
    return _Process.file_id


def merge_dead_files() -> str | None:
    """Merges the files of dead processes; returns why that failed, or None."""
    try:
        metric_files.merge_dead_files(folder())
    except OSError as error:
        return str(error)
    return None


def clean_up() -> None:
    """At the end of a process: removes the folder if this process made it, else its files from it."""
    if _Process.pid and _Process.pid != os.getpid():
        return
    has_files = bool(_Process.locks)
    file_locks.release(_Process.locks)
    _Process.pid, _Process.locks = 0, ()
    if _Process.made_folder:
        shutil.rmtree(_Process.made_folder, ignore_errors=True)
        _Process.made_folder = None
    elif has_files:
        merge_dead_files()


def _make_folder() -> None:
    for parent in {temporary_folder(), memory_folder()}:
        if parent:
            _remove_abandoned(parent)
    made = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=memory_folder(MIN_FREE_BYTES))
    os.environ[VARIABLE] = made
    _Process.made_folder = Path(made)


def _reserve(path: Path) -> int:
    """Makes a file with its space and a lock, and returns the descriptor that holds the lock."""
    new = path.with_suffix(".new")
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        file_locks.lock(file)
        os.posix_fallocate(file, 0, RESERVED_BYTES)
        new.rename(path)
    except OSError:
        os.close(file)
        new.unlink(missing_ok=True)
        raise
    return file


def _remove_abandoned(parent: Path) -> None:
    """Removes this user's folders whose processes are all dead."""
    for path in parent.glob(f"{PREFIX}*"):
        # Anybody may make such a name in a shared folder.
        if not is_own_folder(path):
            continue
        files = [file for file in path.glob("*_fota-*") if NAME_PATTERN.fullmatch(file.name)]
        # A folder without files may just be in the making.
        if all(map(metric_files.is_dead, files)) and (files or metric_files.is_settled(path)):
            shutil.rmtree(path, ignore_errors=True)
