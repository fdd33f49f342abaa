"""Wheel and sdist: which files they hold, and that a wheel from the sdist is the wheel from the checkout."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from testbed.process import ROOT
from tests.support.installations import build

pytestmark = [pytest.mark.slow, pytest.mark.installs]

PACKAGES = ("listener", "registrar")


def files(package: str) -> set[str]:
    """Every file of a package in the checkout."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_holds_the_two_packages_with_all_their_data_from_the_checkout_and_from_the_sdist(
    tmp_path: Path,
) -> None:
    from_sdist, sdist = build(tmp_path / "both")
    [from_checkout] = build(tmp_path / "wheel", "--wheel")
    held = contents(from_checkout)
    assert contents(from_sdist) == held
    assert from_sdist.name == from_checkout.name
    own = {name for name in held if ".dist-info/" not in name}
    assert own == set.union(*map(files, PACKAGES))
    endings = {Path(name).suffix for name in own}
    assert endings == {".py", ".lua", ".html", ".css", ".js", ".json", ".typed"}
    assert any(name.endswith("/licenses/LICENSE") for name in held)
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert sources >= own | {
        *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "gunicorn.conf.py"),
        *("requirements.txt", "requirements.lock", ".env.example", "docs/consumer.md"),
    }
    left_out = ("tests", "testbed", "sandbox", "bench", "bin", "var")
    assert not [name for name in sources if name.partition("/")[0] in left_out]
