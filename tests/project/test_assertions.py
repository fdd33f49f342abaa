"""Every test can fail."""

import ast

import pytest

from tests.project import assertions
from tests.project.assertions import Module

MODULES = assertions.modules()


def test_every_test_asserts_something() -> None:
    assert assertions.without_assertion(MODULES) == []


def test_no_test_passes_because_a_search_found_nothing() -> None:
    assert assertions.only_in_a_search(MODULES) == []


def test_every_test_is_collected() -> None:
    assert assertions.not_collected(MODULES) == []


@pytest.mark.parametrize(
    ("body", "asserts"),
    [
        ("work()", False),
        ("world.check()", False),
        ("assert work()", True),
        ("with pytest.raises(ValueError): work()", True),
        ("check()", True),
        ("check_twice()", True),
    ],
)
def test_assertion_is_found_in_a_test_and_in_the_functions_that_it_calls(
    body: str, asserts: bool
) -> None:
    helpers = "def check(): assert 1\ndef check_twice(): check()\ndef work(): pass"
    module = Module("test_x.py", ast.parse(f"{helpers}\ndef test_it():\n    {body}"))
    assert (assertions.without_assertion([module]) == []) is asserts


@pytest.mark.parametrize(
    ("body", "vacuous"),
    [
        ("for path in folder.glob('*'): assert path", True),
        ("for path in sorted(folder.glob('*')): assert path", True),
        ("for path in (1, 2): assert path", False),
        ("for path in [*folder.glob('*')]: assert path", True),
        ("for path in (folder, *folder.glob('*')): assert path", False),
        ("paths = list(folder.glob('*')); assert paths", False),
        ("if 1:\n        for path in folder.glob('*'): assert path", True),
        ("assert folder\n    for path in folder.glob('*'): assert path", False),
    ],
)
def test_loop_over_what_a_search_found_is_recognised(body: str, vacuous: bool) -> None:
    module = Module("test_x.py", ast.parse(f"def test_it():\n    {body}"))
    assert (assertions.only_in_a_search([module]) != []) is vacuous


def test_test_outside_the_files_that_pytest_reads_is_recognised() -> None:
    module = Module("tests/unit/checks.py", ast.parse("def test_it(): assert 1"))
    assert assertions.not_collected([module]) == ["tests/unit/checks.py::test_it"]
