"""The system tests see the project from outside: they import the testbed and neutral helpers, none of its packages."""

import ast
import re
from pathlib import Path

import pytest

from tests.project.layers import ROOT, imports, root_of

SYSTEM = sorted((ROOT / "tests" / "system").rglob("*.py"))
PACKAGES = {"listener", "registrar", "sandbox", "bench"}
IN_A_STRING = re.compile(
    rf"(?:^|; ?)(?:from|import) ({'|'.join(sorted(PACKAGES))})\b", re.MULTILINE
)

# Programs that a test runs in another process, as an operator or a consumer would write them.
PROGRAMS = {
    "package/test_consumer_package.py": "a project that has added the package",
    "package/test_consumer_runner.py": "a module that `fota consume` runs",
    "package/test_lowest_versions.py": "a consumer of the lowest versions",
    "package/test_service_package.py": "gunicorn's configuration of an operator's own",
    "consumer/test_program.py": "consumers use the library",
    "consumer/test_runner.py": "a module that `fota consume` runs",
    "deploy/test_consumer.py": "a consumer of the compose file and the manifests",
    "receiver/test_gunicorn_start.py": "the application under a server that is not gunicorn",
    "receiver/test_instrumentation.py": "a tracer that an operator starts, and an error of our code",
    "receiver/test_log_programs.py": "processes of every kind that write to the log",
    "receiver/test_secrets.py": "a queue whose error shows a secret",
    "registrar/test_logins.py": "thirty starts of the command, forked to save time",
    "registrar/test_memory.py": "a process that aborts with its memory protected",
}


def strings(path: Path) -> str:
    """The strings of a module, docstrings included, one after the other."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return "\n".join(
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "tests" / "system"))


@pytest.mark.parametrize("path", SYSTEM, ids=name_of)
def test_a_system_test_imports_only_the_testbed_and_neutral_helpers(path: Path) -> None:
    assert not {root_of(name) for name in imports(path)} & PACKAGES
    helpers = {name for name in imports(path) if root_of(name) == "tests"}
    assert all(name == "tests" or name.startswith("tests.support") for name in helpers)


def test_helpers_of_system_tests_import_none_of_the_packages() -> None:
    names = {name for path in SYSTEM for name in imports(path) if name.startswith("tests.support.")}
    paths = [ROOT / f"{name.replace('.', '/')}.py" for name in names]
    helpers = [path for path in paths if path.exists()]
    assert helpers
    for path in helpers:
        assert not {root_of(name) for name in imports(path)} & PACKAGES, path


def test_the_programs_that_import_a_package_in_another_process_are_listed() -> None:
    found = {name_of(path) for path in SYSTEM if IN_A_STRING.search(strings(path))}
    assert found == PROGRAMS.keys()
