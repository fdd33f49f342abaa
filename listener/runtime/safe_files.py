"""Opens and replaces files safely in folders that others may write to: no links, nobody else's files.

Somebody who can write to a folder can put a link there, to a file that the service's user may write and he
may not, or a file of his own. So a name is opened only if it is a regular file without another name that
belongs to this user or to the folder's owner, and its content is never truncated.
"""

import os
import stat
from errno import ELOOP, EPERM
from pathlib import Path

MODE = 0o600
OTHERS = 0o077
OTHERS_WRITE = 0o022


def allow_owner_access() -> None:
    """Removes from the umask whatever denies this process access to the files that it makes.

    The umask denies others what it denied before.
    """
    inherited = os.umask(0o077)
    os.umask(inherited & 0o077)


def open_safely(path: Path, flags: int) -> int:
    """Opens a file, revokes the rights of others on it, and returns its descriptor.

    Args:
        path: of the file; the folder above it may be reached through links.
        flags: those of `os.open`, without O_TRUNC; O_CREAT makes a missing file.

    Raises:
        PermissionError: the path is a link, no regular file, or somebody else's.
        OSError: it cannot be opened.
    """
    # O_NONBLOCK: opening a pipe would wait. It has no effect on a regular file.
    secure = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags | secure, MODE)
    except OSError as error:
        if error.errno == ELOOP:
            raise PermissionError(EPERM, "is a link", str(path)) from error
        raise
    try:
        _check(os.fstat(file), path)
        if _is_open_to_others(os.fstat(file)):
            os.fchmod(file, MODE)
    except BaseException:
        os.close(file)
        raise
    return file


def make_safe(path: Path, *, create: bool) -> None:
    """Makes a file as `open_safely` would, for a library that opens it by its name.

    Opens the file only if necessary, because closing it releases the locks that this process has on it
    (fcntl), such as SQLite's.

    Raises:
        OSError: as `open_safely`; not for a missing file if `create` is false.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        if create:
            os.close(open_safely(path, os.O_RDWR | os.O_CREAT))
        return
    _check(status, path)
    if _is_open_to_others(status):
        os.close(open_safely(path, os.O_RDWR))


def create_safely(path: Path) -> int:
    """Makes a new file, in place of any other of this name, and returns a descriptor to write.

    Raises:
        OSError: it cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, MODE)
    except FileExistsError:
        path.unlink(missing_ok=True)
        return os.open(path, flags, MODE)


def replace_safely(path: Path, data: bytes) -> None:
    """Replaces a file's content atomically; it is not synced to the disk.

    Raises:
        OSError: it cannot be written; the file has its old content.
    """
    new = path.with_suffix(".written")
    try:
        with os.fdopen(create_safely(new), "wb") as file:
            file.write(data)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def unsafe_reason(path: Path) -> str | None:
    """Why `open_safely` would refuse a path; None if it would not, or if there is no such file."""
    try:
        return _problem(path.lstat(), path)
    except FileNotFoundError:
        return None


def is_own_folder(path: Path) -> bool:
    """Whether a name in a shared folder is a folder of this user, and no link."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def unsafe_folder_reason(folder: Path) -> str | None:
    """What others may do to the files in a folder; None: nothing."""
    status = folder.stat()
    if status.st_uid not in (0, os.geteuid()):
        return "belongs to another user, who can replace what is in it"
    if status.st_mode & OTHERS_WRITE:
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def _is_open_to_others(status: os.stat_result) -> bool:
    """Whether others have rights that this user can revoke."""
    return bool(status.st_mode & OTHERS) and os.geteuid() in (0, status.st_uid)


def _check(status: os.stat_result, path: Path) -> None:
    if problem := _problem(status, path):
        raise PermissionError(EPERM, problem, str(path))


def _problem(status: os.stat_result, path: Path) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "is a link"
    if not stat.S_ISREG(status.st_mode):
        return "is no regular file"
    if status.st_nlink > 1:
        return "has another name as well (a hard link)"
    if status.st_uid not in (os.geteuid(), path.parent.stat().st_uid):
        return "belongs to another user"
    return None
