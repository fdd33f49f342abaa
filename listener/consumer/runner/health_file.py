"""The file of `--health-file`: it is there, and was written a few seconds ago, while the consumer is healthy."""

import os
import time
from pathlib import Path

from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer.runner")

EVERY_S = 5.0
CONTENT = b"ok\n"


class HealthFile:
    """Written every five seconds while all is well, and removed when it is not. See `docs/consumer.md`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if it cannot be written or removed, or holds something else than this wrote."""
        self._path = path
        self._written_at: float | None = None
        if path.exists() and path.read_bytes() != CONTENT:
            raise FileExistsError(17, "it holds something else", str(path))
        self._write()
        path.unlink(missing_ok=True)

    def update(self, problem: str | None) -> None:
        """Says what is wrong; None: nothing."""
        if problem is not None:
            self.remove()
        elif self._written_at is None or time.monotonic() - self._written_at >= EVERY_S:
            try:
                self._write()
            except OSError:
                # A full disk: a file that grows old says the same as none.
                return
            self._written_at = time.monotonic()

    def remove(self) -> None:
        """Removes it, also at the end; if that fails, it grows old, which says the same."""
        was_written, self._written_at = self._written_at is not None, None
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            # It is tried again several times a second, and logged once.
            if was_written:
                log.warning("health file not removed", detail=str(error))

    def _write(self) -> None:
        """Replaces it, so that nobody ever reads half of it."""
        new = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        new.write_bytes(CONTENT)
        new.replace(self._path)
