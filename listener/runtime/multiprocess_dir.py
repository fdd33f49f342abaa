"""The folder in which the processes of a service keep what they count: who has which file, and who is gone.

prometheus_client asks for the folder's name when it is first imported: so the folder is prepared before, and
this module does not import it. The folder may be an operator's own (PROMETHEUS_MULTIPROC_DIR) and outlive the
container. Process ids repeat there, so a file's name is random, and a lock on it (flock) is the proof of life:
the kernel ends it with the process, however that ended.

Files of processes that ended are absorbed into one file for each sort. It is replaced in one step, by a file
that lists what it has absorbed; only then are those deleted. Whoever reads leaves out what is listed.
So a crash at any moment neither loses nor doubles a count.
"""

import os
import re
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from listener.runtime import file_locks, metric_values
from listener.runtime.memory_folder import memory_folder
from listener.runtime.private_files import is_own_folder, open_private, replace_private
from listener.runtime.process_setup import temporary_folder

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Earlier versions had no locks: their folders, without the 2, are none of ours.
PREFIX = "fota-metrics-2-"
# The files that prometheus_client gives to a process with counters and histograms, and more than
# all of ours take in them.
SORTS = ("counter", "histogram")
RESERVED_BYTES = 2**20
FORM = re.compile(rf"({'|'.join(SORTS)})_fota-[0-9a-f]{{16}}\.(db|new)")
ENDED = "{}_fota-ended.db"
ABSORBING = "fota-absorbing.lock"
# What must be free in memory for the folder to lie there: enough for twenty processes.
ROOM_BYTES = 20 * len(SORTS) * RESERVED_BYTES
# Longer than a process takes from making a folder or a file to locking it.
SETTLED_S = 60


class _Process:
    """What this process has; a child has it from its parent until it reserves files of its own."""

    id = 0
    identity = ""
    locks: tuple[int, ...] = ()
    problem: str | None = None
    made_folder: Path | None = None


def prepare() -> str | None:
    """Makes the folder and names it to this process and its children, unless somebody else chose one.

    Removes what killed services left behind. Returns why nothing can be counted, or None: that is
    no reason not to start. A second call in a process, as at SIGHUP, changes nothing.
    """
    if _Process.problem:
        return _Process.problem
    try:
        if os.environ.get(VARIABLE):
            _folder().mkdir(parents=True, exist_ok=True)
        else:
            _make_folder()
        reserve()
    except OSError as error:
        remove()
        os.environ.pop(VARIABLE, None)
        _Process.problem = str(error)
        return _Process.problem
    absorb()
    return None


def reserve() -> None:
    """Takes the room for this process's files on the disk; to be called after a fork.

    prometheus_client maps sparse files: on a full disk the first write to a new page would kill the
    process (SIGBUS), and its messages with it. A file gets its name once it has its room and its lock.

    Raises:
        OSError: there is no room, or no folder.
    """
    if _Process.id == os.getpid():
        return
    identity = f"fota-{secrets.token_hex(8)}"
    locks: list[int] = []
    try:
        # One by one, so that those already there are released if a later one fails.
        for path in (_folder() / f"{sort}_{identity}.db" for sort in SORTS):
            locks += [_reserve(path)]
    except OSError:
        file_locks.close(locks)
        raise
    # Of the parent's files: they shall count as its own alone.
    file_locks.close(_Process.locks)
    _Process.id, _Process.identity, _Process.locks = os.getpid(), identity, tuple(locks)


def identity() -> str:
    """What stands for the process id in the names of this process's files; empty: it has none."""
    return _Process.identity


def absorb() -> str | None:
    """Adds the files of processes that ended to the file of all those, and deletes them.

    Where somebody else does so at this moment, nothing happens.

    Returns:
        Why it failed, or None. Then the counts are as right as before, in more files.
    """
    try:
        with file_locks.only_here(_folder() / ABSORBING) as alone:
            if alone:
                for sort in SORTS:
                    _absorb(_folder(), sort)
    except OSError as error:
        return str(error)
    return None


def countable() -> tuple[list[Path], object]:
    """The files to add up, and a mark that changes whenever other files become the right ones.

    Who adds them up compares the mark with a later one, and begins again if it changed or a file is gone.
    """
    # In this order: what is deleted after the listing is in the list of what was absorbed.
    files = sorted(_folder().glob("*.db"))
    ended = [_folder() / ENDED.format(sort) for sort in SORTS]
    mark = tuple(_mark(path) for path in ended)
    absorbed = set().union(*(_absorbed(path) for path in ended))
    readable = (path for path in files if path.name not in absorbed and path not in ended)
    return [*readable, *(path for path, known in zip(ended, mark, strict=True) if known)], mark


def mark() -> object:
    """The mark of `countable`, now."""
    return tuple(_mark(_folder() / ENDED.format(sort)) for sort in SORTS)


def remove() -> None:
    """At the end of a process: removes the folder if this process made it, else its files from it."""
    if _Process.id and _Process.id != os.getpid():
        return
    has_files = bool(_Process.locks)
    file_locks.close(_Process.locks)
    _Process.id, _Process.locks = 0, ()
    if _Process.made_folder:
        shutil.rmtree(_Process.made_folder, ignore_errors=True)
        _Process.made_folder = None
    elif has_files:
        absorb()


def _folder() -> Path:
    return Path(os.environ.get(VARIABLE, ""))


def _make_folder() -> None:
    for parent in {temporary_folder(), memory_folder()}:
        if parent:
            _remove_abandoned(parent)
    made = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=memory_folder(ROOM_BYTES))
    os.environ[VARIABLE] = made
    _Process.made_folder = Path(made)


def _reserve(path: Path) -> int:
    """Makes a file with room and a lock; the descriptor holds the lock."""
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


def _absorb(folder: Path, sort: str) -> None:
    """Raises OSError where the disk does."""
    ended = folder / ENDED.format(sort)
    listed = _absorbed(ended)
    dead = [
        path for path in folder.glob(f"{sort}_*") if FORM.fullmatch(path.name) and _is_over(path)
    ]
    new = [path for path in dead if path.suffix == ".db" and path.name not in listed]
    if new:
        for path in new:
            _shrink(path)
        parts = [found for path in (ended, *new) if (found := _read(path)) is not None]
        names = {path.name for path in dead if path.suffix == ".db"}
        replace_private(ended, metric_values.file_of(metric_values.total(parts), names))
    for path in dead:
        path.unlink(missing_ok=True)


def _shrink(path: Path) -> None:
    """Gives back what a process had reserved and not used: on a full disk that makes room for the sums."""
    with (
        suppress(metric_values.BrokenFileError),
        os.fdopen(open_private(path, os.O_RDWR), "r+b") as file,
    ):
        file.truncate(max(metric_values.used_bytes(file.read()), 8))


def _read(path: Path) -> dict[str, float] | None:
    """The values in a file; None, and the file gets another name, if it is broken."""
    try:
        return metric_values.values(path.read_bytes())
    except FileNotFoundError:
        return None
    except metric_values.BrokenFileError:
        # Kept for whoever wants to look; no sum has it.
        path.rename(path.with_suffix(".broken"))
        return None


def _absorbed(ended: Path) -> frozenset[str]:
    try:
        return metric_values.absorbed_names(ended.read_bytes())
    except (FileNotFoundError, metric_values.BrokenFileError):
        return frozenset()


def _mark(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _is_over(path: Path) -> bool:
    """Whether the process is gone that had a file; one that is just being made is somebody's."""
    return file_locks.is_unlocked(path) and (path.suffix == ".db" or _is_settled(path))


def _is_settled(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > SETTLED_S
    except OSError:
        return False


def _remove_abandoned(parent: Path) -> None:
    """Removes this user's folders whose processes are all gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        # Anybody may make such a name in a shared folder.
        if not is_own_folder(folder):
            continue
        files = [path for path in folder.glob("*_fota-*") if FORM.fullmatch(path.name)]
        # One without files may just be in the making.
        if all(_is_over(path) for path in files) and (files or _is_settled(folder)):
            shutil.rmtree(folder, ignore_errors=True)
