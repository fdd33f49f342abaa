"""The examples' files: what a newcomer copies, and what CI installs."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
NODE = EXAMPLES / "node"


def test_the_lock_file_pins_contents_and_names_no_registry() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    wanted = json.loads((NODE / "package.json").read_text())["dependencies"]
    assert lock["packages"][""]["dependencies"] == wanted
    for name, package in lock["packages"].items():
        assert "resolved" not in package
        assert not name or package["integrity"].startswith("sha512-")
    assert "omit-lockfile-registry-resolved=true" in (NODE / ".npmrc").read_text()


def test_every_example_is_in_the_contract() -> None:
    links = set(re.findall(r"\]\(examples/([\w./]+)\)", (ROOT / "docs" / "queue.md").read_text()))
    assert links == {
        path.name + "/" * path.is_dir() for path in EXAMPLES.iterdir() if path.name != "__pycache__"
    }


@pytest.mark.parametrize("path", ["plain_redis.py", "faststream_consumer.py"])
def test_an_example_without_our_library_imports_nothing_of_this_project(path: str) -> None:
    assert not re.search(
        r"(?m)^\s*(from|import) (listener|registrar|sandbox)", (EXAMPLES / path).read_text()
    )


def test_the_shell_example_can_be_run_as_it_is() -> None:
    assert (EXAMPLES / "redis_cli.sh").stat().st_mode & 0o111
