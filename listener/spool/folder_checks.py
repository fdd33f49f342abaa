"""Checks SPOOL_DIR from outside: its owner, its rights, the speed of its disk. Makes and changes no file of the spool."""

import os
import pwd
import tempfile
import time
from pathlib import Path

from listener.runtime import safe_files
from listener.runtime.native_thread import NativeThread
from listener.spool.journal import LEAD
from listener.spool.journal_database import JOURNAL
from listener.spool.journal_files import parts
from listener.spool.journal_opening import PAGE_BYTES

# The status page waits no longer for a disk that hangs.
TIMEOUT_S = 1.0

_thread = NativeThread()


def existing_folder(folder: Path) -> tuple[Path, bool]:
    """SPOOL_DIR, or the folder in which it would be made, and whether this user can write to it.

    Raises:
        TimeoutError: the disk does not answer in a second.
    """

    def find() -> tuple[Path, bool]:
        # Not by Path.exists, which raises where this user may not look.
        paths = (folder, *folder.absolute().parents)
        existing = next(path for path in paths if os.access(path, os.F_OK))
        return existing, existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)

    return _thread.run(find, TIMEOUT_S)


def owner_of(path: Path) -> str:
    """The owner of a file or folder: a name, or a number where the system knows no name.

    Raises:
        OSError: the disk does not say, or not in a second (TimeoutError).
    """
    number = _thread.run(lambda: path.stat().st_uid, TIMEOUT_S)
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"the user {number}"


def unsafe_reasons(folder: Path) -> tuple[list[str], str | None]:
    """Why files of the spool are not used, since other users may have put them there, and why the folder is unsafe.

    Raises:
        OSError: the disk does not say, or not in a second (TimeoutError).
    """

    def find() -> tuple[list[str], str | None]:
        if not folder.is_dir():
            return [], None
        files = (*parts(folder / JOURNAL), folder / LEAD)
        unsafe = [f"{path} {why}" for path in files if (why := safe_files.unsafe_reason(path))]
        return unsafe, safe_files.unsafe_folder_reason(folder)

    return _thread.run(find, TIMEOUT_S)


def sync_time_s(folder: Path, timeout_s: float) -> float:
    """How long a page takes to be written and synced, in a file without a name, in SPOOL_DIR.

    Raises:
        OSError: it cannot be written, or not in time (TimeoutError).
    """

    def write() -> float:
        began = time.monotonic()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b" " * PAGE_BYTES)
            file.flush()
            os.fsync(file.fileno())
        return time.monotonic() - began

    return _thread.run(write, timeout_s)
