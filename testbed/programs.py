"""Programs that must be installed on this machine."""

import shutil
import sys
from pathlib import Path


class MissingProgramError(Exception):
    """Something that is not part of the project is not installed; the message names it.

    The tests' `conftest.py` makes a skip of it, and a failure in CI.
    """


def find_program(name: str) -> str:
    """The path of a program.

    Raises:
        MissingProgramError: it is not on the PATH.
    """
    path = shutil.which(name)
    if not path:
        raise MissingProgramError(f"{name} is not installed")
    return path


def find_development_program(name: str) -> str:
    """The path of a program that requirements-dev.txt installs beside this Python.

    Raises:
        MissingProgramError: it is not there, nor on the PATH.
    """
    own = Path(sys.executable).parent / name
    return str(own) if own.exists() else find_program(name)
