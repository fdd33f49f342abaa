"""What tests of real processes need: programs of the machine, and files for their logs."""

import fcntl
import os
import shutil
import tempfile
from typing import IO, NoReturn

import pytest


def needed(program: str) -> str:
    """Its path; where it is missing, the test is skipped with a reason, and in CI it fails."""
    found = shutil.which(program)
    if not found:
        lacking(f"{program} is not installed")
    return found


def lacking(reason: str) -> NoReturn:
    """Something that the test needs is not there: it is skipped with a reason, and in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def log_file() -> IO[str]:
    """A temporary file that processes may write to while a test reads it; the caller closes it.

    Reading moves the place that they share, and must not move where they write. The mode alone does
    not see to that: tempfile has opened the file before it looks at it.
    """
    file = tempfile.TemporaryFile("a+")  # noqa: SIM115 - the caller's
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    return file
