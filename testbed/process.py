"""Child processes and their logs."""

import fcntl
import os
import sys
import tempfile
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def log_file() -> IO[str]:
    """A temporary file that processes may write to while a test reads it; the caller closes it.

    Reading moves the file position that they share; in append mode that does not change where they
    write. The mode given to tempfile is not enough: it has opened the file before it looks at the mode.
    """
    file = tempfile.TemporaryFile("a+")  # noqa: SIM115 - the caller's
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file
