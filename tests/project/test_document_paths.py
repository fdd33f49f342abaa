"""The documents name modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "docs/architecture.md",
    "docs/receiver.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/benchmarks.md",
    "docs/deployment.md",
]
# Where a path without its beginning may begin.
PLACES = ["", "listener", "listener/consumer", "registrar", "sandbox", "listener/queue"]
PATH = re.compile(r"`([a-z_]+(?:/[a-z_]+)*\.(?:py|lua))(?::[a-z_]+)?`")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_modules_that_a_document_names_exist(name: str) -> None:
    paths = PATH.findall((ROOT / name).read_text())
    assert paths
    for path in paths:
        assert any((ROOT / place / path).exists() for place in PLACES), f"{name} names {path}"


def test_architecture_has_a_line_for_each_folder_of_the_listener() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    folders = {path.parent.name for path in (ROOT / "listener").glob("*/__init__.py")}
    assert folders
    assert {folder for folder in folders if f"| `{folder}/` |" not in text} == set()


def test_a_path_is_recognised() -> None:
    assert PATH.findall(
        "`queue/queue.py`, `a/b.lua` and `callback/app.py:create_app`, not `x.md`"
    ) == [
        "queue/queue.py",
        "a/b.lua",
        "callback/app.py",
    ]
