"""An index, a mirror or a cache that hands out another package under a name and version that we trust."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
METADATA = "Metadata-Version: 2.1\nName: mdurl\nVersion: 0.1.2\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: somebody\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder with a package of somebody else's making under the name of one that the service needs."""
    with zipfile.ZipFile(tmp_path / "mdurl-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mdurl/__init__.py", "print('harm')\n")
        wheel.writestr("mdurl-0.1.2.dist-info/METADATA", METADATA)
        wheel.writestr("mdurl-0.1.2.dist-info/WHEEL", WHEEL)
        wheel.writestr("mdurl-0.1.2.dist-info/RECORD", "")
    return tmp_path


def install(index: Path, requirements: str, *options: str) -> "subprocess.CompletedProcess[str]":
    (index / "wanted.txt").write_text(requirements)
    pip = (sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install")
    places = ("--no-index", f"--find-links={index}", f"--target={index / 'target'}", "--dry-run")
    return subprocess.run(
        [*pip, *places, *options, "-r", "wanted.txt"],
        cwd=index,
        env={"PATH": "", "HOME": str(index)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_package_of_another_content_is_refused(index: Path) -> None:
    lock = (ROOT / "requirements.lock").read_text()
    [entry] = [part for part in lock.replace("\\\n", "").splitlines() if part.startswith("mdurl==")]
    refused = install(index, entry, "--require-hashes")
    assert refused.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stderr
    # By its version alone it would have been taken.
    taken = install(index, "mdurl==0.1.2")
    assert taken.returncode == 0, taken.stderr


def test_package_that_the_lock_lacks_is_refused(index: Path) -> None:
    refused = install(index, "mdurl", "--require-hashes")
    assert refused.returncode != 0
    assert "require" in refused.stderr
