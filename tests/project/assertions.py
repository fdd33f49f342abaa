"""Finds tests that cannot fail: without an assertion, or with assertions only in a loop over what was found."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests", "testbed")
# Calls that fail a test by themselves: pytest's, the testbed's way to wait, a browser's, a JSON Schema's.
FAILING_CALLS = frozenset({"raises", "fail", "wait_until", "expect", "validate", "check_schema"})
# Calls whose result is empty if nothing is found.
SEARCHES = frozenset({"glob", "rglob", "iterdir", "findall", "finditer"})
# What makes pytest skip a test, or expect it to fail.
SKIPS = frozenset({"skip", "skipif", "xfail", "importorskip"})


@dataclass(frozen=True)
class Module:
    """A module of the tests.

    Attributes:
        name: its path below the project's folder.
        tree: what it says.
    """

    name: str
    tree: ast.Module

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Its functions and, by their bare names, the methods of its classes."""
        return {
            node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)
        }

    @property
    def tests(self) -> Iterator[ast.FunctionDef]:
        """Its tests."""
        return (node for name, node in self.functions.items() if name.startswith("test_"))


def modules() -> list[Module]:
    """Every module of the tests and of the testbed."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [Module(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths]


def without_assertion(found: list[Module]) -> list[str]:
    """The tests that assert nothing, neither in themselves nor in a function that they call by its name."""
    helpers = _asserting_helpers(found)
    return [
        f"{module.name}::{test.name}"
        for module in found
        for test in module.tests
        if not (_asserts(test) or _called_names(test) & helpers)
    ]


def only_in_a_search(found: list[Module]) -> list[str]:
    """The tests all of whose assertions stand in a loop over files or matches, of which there may be none."""
    return [
        f"{module.name}::{test.name}"
        for module in found
        for test in module.tests
        if _loops_over_a_search(test) and not any(map(_asserts, _outside_searches(test)))
    ]


def not_collected(found: list[Module]) -> list[str]:
    """The tests in modules that pytest does not look into, unless a module that it does imports them."""
    collected = [module for module in found if Path(module.name).name.startswith("test_")]
    imported = {name for module in collected for name in _imported_modules(module)}
    return [
        f"{module.name}::{test.name}"
        for module in found
        if module not in collected and Path(module.name).stem not in imported
        for test in module.tests
    ]


def skipped(found: list[Module]) -> set[str]:
    """The tests that may be skipped, which CI would count as passed, or that may fail."""
    return {
        f"{module.name}::{test.name}"
        for module in found
        for test in module.tests
        for node in ast.walk(test)
        if isinstance(node, ast.Attribute | ast.Name) and _last_name(node) in SKIPS
    }


def _asserting_helpers(found: list[Module]) -> set[str]:
    """The names of functions that assert something, be it in another function that they call."""
    functions = [each for module in found for each in module.functions.items()]
    names = {name for name, node in functions if _asserts(node)}
    while more := {name for name, node in functions if _called_names(node) & names} - names:
        names |= more
    return names


def _asserts(node: ast.AST) -> bool:
    return any(
        isinstance(each, ast.Assert)
        or (isinstance(each, ast.Call) and _last_name(each.func) in FAILING_CALLS)
        for each in ast.walk(node)
    )


def _called_names(node: ast.AST) -> set[str]:
    """The functions that are called by a bare name. Methods are not: too many share a name."""
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def _imported_modules(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            yield (node.module or "").rpartition(".")[2]


def _loops_over_a_search(test: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.For) and _searches(each.iter) for each in ast.walk(test))


def _outside_searches(node: ast.AST) -> Iterator[ast.AST]:
    """The statements of a function but for those within a loop over a search."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.For) and _searches(child.iter):
            continue
        if isinstance(child, ast.For | ast.While | ast.With | ast.If | ast.Try):
            yield from _outside_searches(child)
        else:
            yield child


def _searches(node: ast.AST) -> bool:
    """Whether a collection has nothing but what a search finds."""
    if isinstance(node, ast.Tuple | ast.List):
        return all(isinstance(each, ast.Starred) and _searches(each) for each in node.elts)
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(_last_name(function) in SEARCHES for function in calls)


def _last_name(function: ast.expr) -> str:
    """`raises` of `pytest.raises`."""
    return getattr(function, "attr", getattr(function, "id", ""))
