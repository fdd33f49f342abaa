"""What the package says of itself in pyproject.toml: one version, and ranges that hold the pins and all that is imported."""

import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from listener import __version__
from tests.project.layers import imports, root_of

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
BASE = [Requirement(text) for text in PROJECT["dependencies"]]
SERVICE = [Requirement(text) for text in PROJECT["optional-dependencies"]["service"]]
OTEL = [Requirement(text) for text in PROJECT["optional-dependencies"]["otel"]]
RANGES = BASE + SERVICE + OTEL
# Only the receiver and the registrar need them: a consumer's program must not have to install them.
OF_THE_SERVICE = {"flask", "gunicorn", "gevent", "httptools", "requests", "urllib3", "werkzeug"}


def pins() -> dict[str, Requirement]:
    lines = [
        line
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / name).read_text().splitlines()
        if not line.startswith("-r ")
    ]
    texts = (line.partition("#")[0].strip() for line in lines)
    found = map(Requirement, filter(None, texts))
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def test_version_stands_in_one_place() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "listener/__init__.py"
    text = (ROOT / "listener" / "__init__.py").read_text()
    assert text.count(f'__version__ = "{__version__}"') == 1


@pytest.mark.parametrize("requirement", RANGES, ids=lambda requirement: requirement.name)
def test_pin_is_inside_the_range(requirement: Requirement) -> None:
    [pin] = pins()[canonicalize_name(requirement.name)].specifier
    assert pin.operator == "=="
    assert pin.version in requirement.specifier
    lowest = [each for each in requirement.specifier if each.operator == ">="]
    assert len(lowest) == 1, "a range has a lowest version, which is tested"


def test_service_alone_needs_its_servers_and_clients() -> None:
    assert {canonicalize_name(each.name) for each in SERVICE} == OF_THE_SERVICE


def test_ranges_name_exactly_what_the_packages_import() -> None:
    names = {
        root_of(name)
        for package in ("listener", "registrar")
        for path in (ROOT / package).rglob("*.py")
        for name in imports(path)
    }
    # Several packages have modules of OpenTelemetry's namespace.
    distributions = {
        **metadata.packages_distributions(),
        "opentelemetry": ["opentelemetry-api"],
    }
    needed = {
        canonicalize_name(distributions[name][0])
        for name in names - {"listener", "registrar", "zope"} - sys.stdlib_module_names
        if name in distributions
    }
    # pytest alone imports the module that imports it. redis-py imports hiredis by itself.
    needed -= {"pytest"}
    assert {canonicalize_name(each.name) for each in RANGES} == needed | {"hiredis"}
