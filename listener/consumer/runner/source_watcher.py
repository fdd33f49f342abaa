"""Notices that a Python file changed, for `fota consume --reload`."""

import os
import time

EVERY_S = 0.5
SKIPPED = {"__pycache__", "node_modules", "site-packages", "var", "venv"}


class SourceWatcher:
    """Compares the times of the Python files below a folder; hidden folders and environments are left out."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._times = self._read()
        self._checked_at = time.monotonic()

    def changed(self) -> str | None:
        """A file that was changed, added or removed since the last call; looks twice a second at most."""
        if time.monotonic() - self._checked_at < EVERY_S:
            return None
        times = self._read()
        different = {path for path, _ in self._times.items() ^ times.items()}
        self._times, self._checked_at = times, time.monotonic()
        return min(different, default=None)

    def _read(self) -> dict[str, int]:
        times = {}
        for folder, names, files in os.walk(self._folder):
            names[:] = [name for name in names if name not in SKIPPED and not name.startswith(".")]
            for name in files:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)  # noqa: PTH118 - thousands of them, twice a second
                    try:
                        times[path] = os.stat(path).st_mtime_ns  # noqa: PTH116
                    except OSError:
                        continue
        return times
