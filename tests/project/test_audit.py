"""bin/audit: a hole fails the build; a source that does not answer, or knows nothing, is told and does not."""

import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "bin" / "audit"
SOUND = {"name": "flask", "version": "3.1.3", "vulns": []}
HOLED = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}],
}
UNKNOWN = {"name": "click", "skip_reason": "Dependency not found on PyPI"}


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Any:
    spec = spec_from_loader("audit", SourceFileLoader("audit", str(PATH)))
    assert spec
    assert PATH.stat().st_mode & 0o111
    module = module_from_spec(spec)
    assert spec.loader
    with pytest.MonkeyPatch.context() as patch:
        # Its name has no ending, so what Python caches would lie beside it.
        patch.setattr("sys.dont_write_bytecode", True)
        spec.loader.exec_module(module)
    return module


def verdict(audit: Any, *packages: dict[str, Any]) -> tuple[int, str]:
    status, lines = audit.verdict(json.dumps({"dependencies": packages}), "")
    return status, "\n".join(lines)


def test_a_known_hole_fails_and_is_named_with_what_mends_it(audit: Any) -> None:
    status, told = verdict(audit, SOUND, HOLED)
    assert status == 1
    assert "jinja2 2.10: PYSEC-2019-217, mended in 2.10.1" in told


def test_what_the_source_does_not_know_is_named_and_not_called_sound(audit: Any) -> None:
    status, told = verdict(audit, SOUND, UNKNOWN)
    assert status == 0
    assert "1 of 2 pinned packages looked up" in told
    assert "not looked up: click" in told


def test_a_source_that_knows_nothing_is_a_skip(audit: Any) -> None:
    status, told = verdict(audit, UNKNOWN)
    assert status == 0
    assert told.startswith("skipped")


@pytest.mark.parametrize(
    ("errors", "status", "start"),
    [
        ("…\nrequests.exceptions.ProxyError: unable", 0, "skipped"),
        ("pip_audit._service.interface.ServiceError", 0, "skipped"),
        ("ERROR: Tip: your network may be blocking this service.", 0, "skipped"),
        ("ERROR: requirement file has an invalid specifier at line 1", 1, "pip-audit failed"),
        ("", 1, "pip-audit failed"),
    ],
)
def test_only_a_silent_source_is_forgiven(audit: Any, errors: str, status: int, start: str) -> None:
    found, lines = audit.verdict("", errors)
    assert found == status
    assert lines[0].startswith(start)
