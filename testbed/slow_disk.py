"""A folder on a disk as slow as a test wants, for real processes: a small library is preloaded into them."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from testbed.programs import find_program

SOURCE = Path(__file__).with_suffix(".c")


class SlowDisk:
    """Delays syncs, and whatever looks for files, below a folder; a context manager.

    Only in processes that are started with `environ`, and in their children. A delay may be changed
    while they run, and ends at once for those that are waiting.

    Args:
        folder: need not exist.

    Raises:
        MissingProgramError: there is no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        # First, so that no folder is left behind where it is missing.
        self._compiler = find_program("cc")
        self._made = tempfile.TemporaryDirectory(prefix="fota-slow-disk-")
        self._delays = Path(self._made.name, "delays")
        self._library = Path(self._made.name, "slow_disk.so")
        self._folder = folder
        self.delay()

    def __enter__(self) -> Self:
        """Compiles the library."""
        options = ("-shared", "-fPIC", "-O1", "-Wall", "-o", self._library, SOURCE, "-ldl")
        try:
            subprocess.run([self._compiler, *options], check=True)
        except BaseException:
            self._made.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.delay()
        self._made.cleanup()

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process needs in its environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "SLOW_DISK_FOLDER": str(self._folder.absolute()),
            "SLOW_DISK_DELAYS": str(self._delays),
        }

    def delay(self, *, sync_s: float = 0, look_s: float = 0) -> None:
        """From now on a sync takes `sync_s` seconds, and opening or looking for a file `look_s`."""
        new = self._delays.with_suffix(".new")
        new.write_text(f"{sync_s} {look_s}\n")
        new.replace(self._delays)
