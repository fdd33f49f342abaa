"""The wheel of this checkout, and an environment with nothing else in it."""

from pathlib import Path

import pytest

from tests.support.installations import PINS, Environment, build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    [path] = build(tmp_path_factory.mktemp("wheel"), "--wheel")
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """The wheel, installed by pip into an environment that had pip alone."""
    made = Environment(tmp_path_factory.mktemp("consumer"))
    made.install("pip")
    made.pip("install", "--constraint", PINS, wheel)
    return made
