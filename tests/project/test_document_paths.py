"""The documents name modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Names its tests without their folders.
EXCEPT = {"registration.md"}
DOCUMENTS = [
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")) if path.name not in EXCEPT
]
# Where a path without its beginning may begin.
PLACES = ["", "listener", "listener/consumer", "registrar", "sandbox", "listener/queue"]
PATH = re.compile(r"`([a-z_]+(?:/[a-z_]+)*\.(?:py|lua))(?::[a-z_]+)?`")


NAMED = sorted(
    {(document.name, path) for document in DOCUMENTS for path in PATH.findall(document.read_text())}
)


@pytest.mark.parametrize(("document", "path"), NAMED)
def test_module_that_a_document_names_exists(document: str, path: str) -> None:
    assert any((ROOT / place / path).exists() for place in PLACES), f"{document} names {path}"


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
