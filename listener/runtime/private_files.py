"""Files for this service alone, in folders that others may write to.

Whoever can write to a folder can put a link there, to a file that the service's user may write and he may not, or
a file of his own. So a name is opened only if a regular file lies there that belongs to this user, or to the owner of
the folder, under no other name, and what is there is never truncated.
"""

import os
import stat
from errno import ELOOP, EPERM
from pathlib import Path

MODE = 0o600
OTHERS = 0o077
OTHERS_WRITE = 0o022


def open_private(path: Path, flags: int) -> int:
    """Opens a file, and takes the rights of others on it away. Returns its descriptor.

    Args:
        path: of the file; the folder above it may be reached through links.
        flags: those of `os.open`, without O_TRUNC; with O_CREAT a file that is missing is made.

    Raises:
        PermissionError: what lies there is a link, no regular file, or somebody else's.
        OSError: it cannot be opened.
    """
    # O_NONBLOCK: a pipe would be waited for. It has no effect on a regular file.
    secure = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags | secure, MODE)
    except OSError as error:
        if error.errno == ELOOP:
            raise PermissionError(EPERM, "is a link", str(path)) from error
        raise
    try:
        _check(os.fstat(file), path)
        if _is_wide(os.fstat(file)):
            os.fchmod(file, MODE)
    except BaseException:
        os.close(file)
        raise
    return file


def make_private(path: Path, *, create: bool) -> None:
    """Sees that a file is as `open_private` would have it, for a library that opens it by its name.

    Opens it only if it has to: with the closing, locks end that this process has on the file (fcntl), such as
    SQLite's.

    Raises:
        OSError: as `open_private`; not for a missing file if `create` is false.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        if create:
            os.close(open_private(path, os.O_RDWR | os.O_CREAT))
        return
    _check(found, path)
    if _is_wide(found):
        os.close(open_private(path, os.O_RDWR))


def create_private(path: Path) -> int:
    """Makes a new file in place of whatever has this name, and opens it to write. Returns its descriptor.

    Raises:
        OSError: it cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, MODE)
    except FileExistsError:
        path.unlink(missing_ok=True)
        return os.open(path, flags, MODE)


def replace_private(path: Path, data: bytes) -> None:
    """Writes a file of this service without a moment at which it is not whole. Not synced to the disk.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    written = path.with_suffix(".written")
    try:
        with os.fdopen(create_private(written), "wb") as file:
            file.write(data)
        written.rename(path)
    except OSError:
        written.unlink(missing_ok=True)
        raise


def objection(path: Path) -> str | None:
    """Why `open_private` would refuse what lies there; None if it would not, or nothing is there."""
    try:
        return _problem(path.lstat(), path)
    except FileNotFoundError:
        return None


def is_own_folder(path: Path) -> bool:
    """Whether a name in a shared folder is a folder of this user, and no link."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def folder_objection(folder: Path) -> str | None:
    """What others may do to the files in a folder; None: nothing."""
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid()):
        return "belongs to another user, who can replace what is in it"
    if found.st_mode & OTHERS_WRITE:
        return f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})"
    return None


def _is_wide(found: os.stat_result) -> bool:
    """Whether others have rights that this user can take away."""
    return bool(found.st_mode & OTHERS) and os.geteuid() in (0, found.st_uid)


def _check(found: os.stat_result, path: Path) -> None:
    if problem := _problem(found, path):
        raise PermissionError(EPERM, problem, str(path))


def _problem(found: os.stat_result, path: Path) -> str | None:
    if stat.S_ISLNK(found.st_mode):
        return "is a link"
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if found.st_nlink > 1:
        return "has another name as well (a hard link)"
    if found.st_uid not in (os.geteuid(), path.parent.stat().st_uid):
        return "belongs to another user"
    return None
