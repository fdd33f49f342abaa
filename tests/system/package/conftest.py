"""The wheel of this checkout."""

from pathlib import Path

import pytest

from tests.support.installations import build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    [path] = build(tmp_path_factory.mktemp("wheel"), "--wheel")
    return path
