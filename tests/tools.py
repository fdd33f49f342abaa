"""Programs of the machine that some tests need."""

import os
import shutil

import pytest


def needed(program: str) -> str:
    """Its path; where it is missing, the test is skipped with a reason, and in CI it fails."""
    found = shutil.which(program)
    if found:
        return found
    reason = f"{program} is not installed"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
