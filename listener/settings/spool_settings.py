"""SpoolSettings: the spool's folder and its limit, which the `spool` commands read alone."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from listener.settings import parsers
from listener.settings.env import EnvReader, read_environ

DEFAULT_FOLDER = Path("var/spool")


@dataclass(frozen=True, kw_only=True)
class SpoolSettings:
    """Where messages are kept on disk while Redis cannot confirm them.

    Attributes:
        folder: SPOOL_DIR; None: there is no spool.
        max_bytes: the most that the messages in it may take.
    """

    folder: Path | None
    max_bytes: int

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "SpoolSettings":
        """Reads these settings and no others.

        Raises:
            SettingsError: with every problem.
        """
        return read_environ(environ, cls.read)

    @classmethod
    def read(cls, env: EnvReader) -> "SpoolSettings":
        """Reads the variables; the caller seals `env`, which reports the problems."""
        folder = env.parsed("SPOOL_DIR", DEFAULT_FOLDER, parse=Path)
        return cls(
            folder=None if env.is_empty("SPOOL_DIR") else folder,
            max_bytes=env.parsed("SPOOL_MAX_BYTES", 2**30, parse=parsers.integer(2**16)),
        )
