"""The mutation tests find the changes that no test notices, and no others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODULE = '''
"""Planted."""

LIMIT = 3
STEP = 1


def is_over(count: int) -> bool:
    """A boundary that the tests leave out."""
    return count > LIMIT


def after(count: int) -> int:
    return count + STEP


def unused() -> int:
    return 7
'''
TESTS = """
import planted
from planted import after, is_over


def test_limit_is_kept():
    assert is_over(5)
    assert not is_over(1)


def test_step_is_one():
    assert after(1) == 2
"""
# As in tests/conftest.py.
CONFTEST = """
import gc


def pytest_collection_finish():
    gc.freeze()
"""


def run(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (folder / "planted.py").write_text(MODULE)
    (folder / "test_planted.py").write_text(tests)
    (folder / "conftest.py").write_text(CONFTEST)
    return subprocess.run(
        [sys.executable, "-m", "tests.mutation", "planted", "test_planted.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.slow
def test_planted_survivors_are_reported(tmp_path: Path) -> None:
    result = run(tmp_path, TESTS)
    assert result.returncode == 1, result.stderr
    lines = result.stdout.splitlines()
    assert sorted(line for line in lines if line.startswith("survived")) == [
        "survived   planted.py:10: count > LIMIT  ->  count >= LIMIT",
        "survived   planted.py:4: 3  ->  2",
        "survived   planted.py:4: 3  ->  4",
    ]
    assert len([line for line in lines if line.startswith("not called planted.py:18: ")]) == 3


@pytest.mark.slow
def test_tests_that_fail_without_a_mutant_prove_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, TESTS.replace("== 2", "== 3"))
    assert result.returncode == 1
    assert "the tests fail without a mutant" in result.stderr
    assert result.stdout == ""
