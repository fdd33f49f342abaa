"""docs/asvs.md: each requirement once, in order, and each test that it names runs in CI."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"\| V(\d+)\.(\d+)\.(\d+) \| ([123]) \| .+ \| `(tests/[\w/]+/test_\w+\.py)::(test_\w+)` \|"
)
ROWS = [
    line for line in (ROOT / "docs" / "asvs.md").read_text().splitlines() if line.startswith("| V")
]
MATCHES = [match for row in ROWS if (match := ROW.fullmatch(row))]


def test_every_requirement_stands_once_and_in_order() -> None:
    assert [row for row in ROWS if not ROW.fullmatch(row)] == []
    numbers = [tuple(map(int, match.groups()[:3])) for match in MATCHES]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 30


def test_every_test_that_is_named_runs_and_is_never_skipped() -> None:
    named = [(match[5], match[6]) for match in MATCHES]
    assert [f"{path}::{name}" for path, name in named if not runs(path, name)] == []


def runs(path: str, name: str) -> bool:
    """Whether the module has this test at its top, without a mark that skips it and without a call that does."""
    tests = [node for node in top_functions(path) if node.name == name]
    return len(tests) == 1 and not re.search(r"\b(skip|skipif|xfail)\b", ast.unparse(tests[0]))


def top_functions(path: str) -> Iterator[ast.FunctionDef]:
    tree = ast.parse((ROOT / path).read_text())
    return (node for node in tree.body if isinstance(node, ast.FunctionDef))
