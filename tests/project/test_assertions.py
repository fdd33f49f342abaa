"""Every test can fail."""

import ast

import pytest

from tests.project import assertions
from tests.project.assertions import Module

# What a machine may lack that .ci/run cannot install. A missing program fails a test in CI (testbed/programs.py).
MAY_BE_SKIPPED = {
    # IPv6
    "tests/integration/listener/test_operating_port.py::test_ipv6_address_of_the_operating_port_is_bound_in_brackets",
    "tests/system/receiver/test_gunicorn_start.py::test_operating_port_is_served_whatever_is_bound",
    "tests/system/receiver/test_gunicorn_start.py::test_registrar_finds_a_listener_that_ipv6_alone_reaches",
    # a process table of one's own, root, core dumps
    "tests/integration/registrar/test_coordination.py::test_what_root_writes_by_hand_belongs_to_the_owner_of_the_folder_above",
    "tests/system/registrar/test_memory.py::test_protected_process_leaves_no_core_dump",
    "tests/system/registrar/test_run.py::test_as_process_1_of_a_container",
    # LibreOffice
    "tests/unit/listener/test_csv_rows.py::test_libreoffice_finds_no_formula",
}


@pytest.fixture(scope="module", name="modules")
def all_modules() -> list[Module]:
    # Not at import: each process of the tests imports this module, and parsing takes a second.
    return assertions.modules()


def test_every_test_asserts_something(modules: list[Module]) -> None:
    assert assertions.without_assertion(modules) == []


def test_no_test_passes_because_a_search_found_nothing(modules: list[Module]) -> None:
    assert assertions.only_in_a_search(modules) == []


def test_every_test_is_collected(modules: list[Module]) -> None:
    assert assertions.not_collected(modules) == []


def test_no_other_test_may_be_skipped(modules: list[Module]) -> None:
    assert assertions.skipped(modules) == MAY_BE_SKIPPED


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
    user = Module("tests/unit/test_x.py", ast.parse("from tests.unit.checks import Checks"))
    assert assertions.not_collected([module, user]) == []
