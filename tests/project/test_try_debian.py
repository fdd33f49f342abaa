"""What bin/try-debian says where it cannot begin; CI runs it for real."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bin" / "try-debian"
# Of what a system has, without debootstrap.
PROGRAMS = ("bash", "dirname", "env", "id", "sed")


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found
        (folder / name).symlink_to(found)
    return subprocess.run(
        [SCRIPT, *arguments], env={"PATH": str(folder)}, capture_output=True, text=True, check=False
    )


def test_help_names_each_step(tmp_path: Path) -> None:
    shown = run(tmp_path, "--help")
    assert shown.returncode == 0
    for step in ("run", "test", "unit", "test-all", "redis-server", "shell"):
        assert f"\n  {step} " in shown.stdout


def test_unknown_step_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    refused = run(tmp_path, "trixie", "run", "bin/run")
    assert refused.returncode == 2
    assert refused.stderr.startswith("try-debian: 'bin/run' is not a step")


def test_machine_without_debootstrap_or_root_is_told_apart_from_a_failure(tmp_path: Path) -> None:
    refused = run(tmp_path, "trixie", "run")
    # CI goes on with this status, and says that nothing was tried.
    assert refused.returncode == 3
    assert "needs root" in refused.stderr or "debootstrap is not installed" in refused.stderr
