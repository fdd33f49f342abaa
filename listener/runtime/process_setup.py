"""What a process needs of a poor environment: rights to its own files, and a folder that it can write to."""

import os
import tempfile
from pathlib import Path

from listener.runtime.memory_folder import memory_folder


def keep_own_access() -> None:
    """Lets this process use the files that it makes, whatever umask it was started with.

    What the umask takes from others stays taken.
    """
    inherited = os.umask(0o077)
    os.umask(inherited & 0o077)


def temporary_folder() -> Path | None:
    """Python's folder for temporary files; None where no such folder can be written to."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def heartbeat_folder(spool_dir: Path | None) -> Path | None:
    """A folder for the files by which gunicorn's workers show that they live; None: there is none.

    In memory if possible; the spool's own folder where nothing else can be written to.
    """
    for folder in (memory_folder(), temporary_folder(), spool_dir):
        if folder and _takes_files(folder):
            return folder
    return None


def _takes_files(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
