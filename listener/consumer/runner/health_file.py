"""The file of `--health-file`: it is there, and was written a few seconds ago, while the consumer is healthy."""

import os
import time
from pathlib import Path

EVERY_S = 5.0
CONTENT = b"ok\n"


class HealthFile:
    """Written every five seconds while all is well, and removed when it is not. See `docs/consumer.md`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if it cannot be written, or holds something else than this wrote."""
        self._path = path
        self._written_at: float | None = None
        if path.exists() and path.read_bytes() != CONTENT:
            raise FileExistsError(17, "it holds something else", str(path))
        self._write()
        self.remove()

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
        """At the end."""
        self._written_at = None
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        """Replaces it, so that nobody ever reads half of it."""
        new = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        new.write_bytes(CONTENT)
        new.replace(self._path)
