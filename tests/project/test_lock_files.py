"""The lock files: what they hold is what the requirements pin, each package once, and each file of it by its hash."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
NAMES = ("requirements", "requirements-dev", "bench/requirements")
# Everything that these need is pinned in them, so the lock holds nothing else.
COMPLETE = ("requirements", "bench/requirements")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pinned(path: Path) -> dict[str, Requirement]:
    """What a requirements file pins, and the files that it names."""
    found: dict[str, Requirement] = {}
    for line in path.read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found |= pinned(path.parent / text.removeprefix("-r "))
        elif text:
            requirement = Requirement(text)
            found[canonicalize_name(requirement.name)] = requirement
    return found


def locked(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """What a lock file holds: each requirement with its hashes."""
    text = (ROOT / f"{name}.lock").read_text()
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for entry in re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines():
        plain, *hashes = re.split(r"\s+(?=--hash=)", entry)
        requirement = Requirement(plain)
        assert canonicalize_name(requirement.name) not in found, f"{plain} stands twice"
        found[canonicalize_name(requirement.name)] = (requirement, hashes)
    return found


def python_versions(requirement: Requirement) -> list[bool]:
    """For which Pythons it is installed, on Linux."""
    marker = requirement.marker
    return [
        marker is None
        or marker.evaluate(
            {
                "python_full_version": full,
                "python_version": full.rpartition(".")[0],
                "sys_platform": "linux",
            }
        )
        for full in ("3.11.2", "3.11.9", "3.12.1", "3.13.0", "3.14.0")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_lock_holds_every_pin_for_the_same_pythons(name: str) -> None:
    found = locked(name)
    for package, requirement in pinned(ROOT / f"{name}.txt").items():
        assert package in found, f"{package}: run bin/lock"
        assert found[package][0].specifier == requirement.specifier, f"{package}: run bin/lock"
        assert python_versions(found[package][0]) == python_versions(requirement), package


@pytest.mark.parametrize("name", COMPLETE)
def test_lock_of_what_is_pinned_completely_holds_nothing_else(name: str) -> None:
    assert locked(name).keys() == pinned(ROOT / f"{name}.txt").keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_locked_by_its_hash_and_none_by_where_it_comes_from(name: str) -> None:
    for requirement, hashes in locked(name).values():
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert [text for text in hashes if not HASH.fullmatch(text)] == []
    # Nor is an index named, nor an option that would lead to one.
    lines = (ROOT / f"{name}.lock").read_text().splitlines()
    assert [line for line in lines if "://" in line or re.match(r"\s*-(?!-hash=)", line)] == []


def test_development_runs_on_what_the_service_runs_on() -> None:
    development = locked("requirements-dev")
    for package, entry in locked("requirements").items():
        assert development[package] == entry


INSTALLS = re.compile(r"pip.{0,80}?\binstall\b[^\n]*")


def test_nothing_that_we_run_or_recommend_installs_without_hashes() -> None:
    places = [
        *ROOT.glob("bin/*"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / ".ci" / "run",
    ]
    commands = [
        f"{path.name}: {command}"
        for path in [*places, ROOT / "Dockerfile"]
        for command in INSTALLS.findall(path.read_text())
        if "-r " in command
    ]
    assert {"setup", "Dockerfile"} <= {command.partition(":")[0] for command in commands}
    for command in commands:
        assert "--require-hashes" in command
        assert ".lock" in command


def test_no_package_of_npm_runs_code_at_its_installation() -> None:
    for path in (ROOT / "bin" / "setup", ROOT / "bench" / "rig" / "environment.py"):
        words = re.sub(r"[\s\",]+", " ", path.read_text())
        assert words.count("npm ci ") == words.count("npm ci --ignore-scripts ") == 1, path.name
    options = (ROOT / "docs" / "examples" / "node" / ".npmrc").read_text().splitlines()
    assert "ignore-scripts=true" in options
    for lock in ("docs/examples/node", "tests/browser", "bench/contenders/fastify"):
        text = (ROOT / lock / "package-lock.json").read_text()
        # Every package but the root, which is this folder.
        assert text.count('"integrity": "sha512-') == text.count('"node_modules/')
        assert "hasInstallScript" not in text
