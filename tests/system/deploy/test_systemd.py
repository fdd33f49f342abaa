"""The systemd units and Heroku's profile, in the programs that read them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.deploy_files import DEPLOY, ROOT

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
# Where the units look for programs; here it is the checkout.
INSTALLED = ("/opt/thingspace-fota-listener", "/opt/fota-consumer")
# systemd calls from 0 to 10 exposed; below 2 it has nothing to say against it.
EXPOSURE = 2.0


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemd-analyze")
    if program is None:
        # In CI as well: it comes with systemd alone, which a container has no use for.
        pytest.skip("systemd is not installed")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_reads_the_unit_and_has_nothing_against_it(unit: Path, tmp_path: Path) -> None:
    # It looks for the programs as well.
    text = unit.read_text()
    for folder in INSTALLED:
        text = text.replace(folder, str(ROOT))
    copy = tmp_path / unit.name
    copy.write_text(text)
    found = analyze("verify", "--man=no", str(copy))
    told = [line for line in found.stderr.splitlines() if unit.stem in line]
    assert not told
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_unit_gives_away_little(unit: Path) -> None:
    found = analyze("security", "--offline=true", "--no-pager", str(unit))
    [exposure] = re.findall(r"exposure level for \S+: ([\d.]+)", found.stdout)
    assert float(exposure) < EXPOSURE


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("rediss://:pw@host:6380", "rediss://:pw@host:6380?ssl_cert_reqs=none"),
        ("rediss://host:6380/0?ssl_cert_reqs=required", None),
        ("redis://host:6379/0", None),
        ("", None),
    ],
)
def test_herokus_profile_accepts_the_certificate_of_its_redis(given: str, used: str | None) -> None:
    script = f'. {DEPLOY / "heroku" / "profile"}; printf %s "$REDIS_URL"'
    end = subprocess.run(
        ["bash", "-euc", script],
        env={"REDIS_URL": given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert end.stdout == (given if used is None else used)
