"""The project itself: what is pinned, what is documented, what is started, is what is there."""

import json
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from listener.errors import PROBLEM_TYPES
from listener.settings.env import EnvReader
from registrar.settings import RegistrarSettings
from tests.support.tracked_files import tracked_files

ROOT = Path(__file__).parents[2]


def read_settings() -> dict[str, None]:
    reader = EnvReader({})
    RegistrarSettings.read(reader)
    return dict.fromkeys(sorted(reader.names))


def table_rows(text: str, heading: str) -> list[list[str]]:
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_setting_stands_in_the_readme_and_in_the_example_and_no_other() -> None:
    rows = table_rows((ROOT / "README.md").read_text(), "Settings")
    documented = [row[0].strip("`") for row in rows]
    example = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(documented) == list(read_settings())
    assert example == documented


@pytest.mark.parametrize("document", ["README.md", ".env.example", "docs/deployment.md"])
def test_file_of_every_secret_is_documented(document: str) -> None:
    reader = EnvReader({})
    RegistrarSettings.read(reader)
    text = (ROOT / document).read_text()
    listed = set(re.findall(r"\b((?:CALLBACK|REDIS|THINGSPACE)_[A-Z_]+)_FILE\b", text))
    assert listed == reader.secrets


def test_the_documented_defaults_are_the_real_ones() -> None:
    rows = table_rows((ROOT / "README.md").read_text(), "Settings")
    defaults = {row[0].strip("`"): row[1].strip("`") for row in rows}
    given = {
        name: value for name, value in defaults.items() if value not in ("\N{EN DASH}", "cores")
    }
    # What is documented, set explicitly, gives the same settings as not setting it.
    documented, silent = EnvReader(given), EnvReader({})
    assert RegistrarSettings.read(documented) == RegistrarSettings.read(silent)
    assert given["PORT"] == "8000"


def test_every_reason_stands_in_the_readme_with_its_status() -> None:
    section = (ROOT / "README.md").read_text().partition("## Sending a message by hand")[2]
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", section, re.MULTILINE)
    documented = {
        reason: int(status) for status, cell in rows for reason in re.findall(r"`([\w-]+)`", cell)
    }
    assert documented == {reason: answer.status for reason, answer in PROBLEM_TYPES.items()}


def test_everything_that_is_needed_is_pinned_exactly() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    texts = [line.partition("#")[0].strip() for line in lines]
    pinned = {canonical(found.name): found for found in map(Requirement, filter(None, texts))}
    for name, requirement in pinned.items():
        assert str(requirement.specifier).startswith("=="), f"{requirement} is not pinned"
        if not applies(requirement, PYTHONS[-1]):
            continue
        assert metadata.version(name) in requirement.specifier, f"{name}: run bin/setup"
        for needed in map(Requirement, metadata.requires(name) or ()):
            # Also for the Python of a stock Debian 12, which wants more than a newer one.
            if any(applies(needed, python) for python in PYTHONS):
                assert canonical(needed.name) in pinned, f"{name} needs {needed}"


PYTHONS = ("3.11.2", platform.python_version())


def applies(requirement: Requirement, python: str) -> bool:
    environment = {"extra": "", "python_full_version": python}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_procfile_starts_what_the_contract_says() -> None:
    assert (ROOT / "Procfile").read_text() == (
        "web: python -m registrar run -- gunicorn listener.wsgi:app\n"
        "consumer: python -m listener consume consumer:consumer\n"
    )


@pytest.mark.parametrize("name", ["setup", "run", "test", "chaos", "lock"])
def test_the_scripts_are_executable_and_well_formed(name: str) -> None:
    script = ROOT / "bin" / name
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)


def test_links_between_the_documents_lead_somewhere() -> None:
    broken = [
        f"{document.name} links to {target}"
        for document, target in links()
        if not (document.parent / target).exists()
    ]
    assert len(list(links())) > 100
    assert broken == []


def links() -> Iterator[tuple[Path, str]]:
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            yield document, target


def test_the_readme_leads_to_every_document() -> None:
    targets = set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()))
    documents = {f"docs/{path.name}" for path in ROOT.glob("docs/*.md")}
    assert documents | {"docs/adr/", "docs/examples/"} <= targets


def test_the_readmes_curl_example_is_valid_json() -> None:
    block = re.search(r"```sh\n(curl .*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    words = shlex.split(block[1].replace("\\\n", " "))
    content = json.loads(words[words.index("-d") + 1])
    assert content["type"] == "upgradeFinished"


def test_no_document_or_source_names_a_path_of_one_machine() -> None:
    machine = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w+")
    for name in tracked_files(ROOT):
        if name != "tests/project/test_project.py":
            text = (ROOT / name).read_text(errors="replace")
            assert not machine.findall(text), name
