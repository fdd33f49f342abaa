"""docs/asvs.md: each requirement once, in order, and each test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"\| V(\d+)\.(\d+)\.(\d+) \| ([123]) \| .+ \| `(tests/[\w/]+/test_\w+\.py)::(test_\w+)` \|"
)
LINES = (ROOT / "docs" / "asvs.md").read_text().splitlines()


def test_every_requirement_stands_once_and_in_order() -> None:
    rows = [line for line in LINES if line.startswith("| V")]
    found = [ROW.fullmatch(line) for line in rows]
    assert all(found), [line for line, match in zip(rows, found, strict=True) if not match]
    numbers = [tuple(map(int, match.groups()[:3])) for match in found if match]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 30


def test_every_test_that_is_named_is_there() -> None:
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", "\n".join(LINES)):
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), (path, name)
