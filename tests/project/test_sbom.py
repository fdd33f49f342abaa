"""The bill of materials: every package that the service runs on, with licence and needs, and no other."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from listener import __version__
from testbed.programs import find_development_program

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.installs
def test_bill_of_materials_lists_what_is_locked_with_licences_and_needs(tmp_path: Path) -> None:
    # bin/sbom would install it, for all tests that run at the same time.
    find_development_program("cyclonedx-py")
    file = tmp_path / "sbom.cdx.json"
    done = subprocess.run([ROOT / "bin/sbom", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bill = json.loads(file.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    service = bill["metadata"]["component"]
    assert (service["name"], service["version"]) == ("thingspace-fota-listener", __version__)
    listed = {canonicalize_name(one["name"]): one for one in bill["components"]}
    assert {name: one["version"] for name, one in listed.items()} == locked()
    for name, one in listed.items():
        assert one["licenses"], name
        assert re.fullmatch(rf"pkg:pypi/[\w.-]+@{one['version']}", one["purl"])
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    everything = {one["bom-ref"] for one in (service, *listed.values())}
    assert set(needs) == everything
    # Nothing is there that the service does not need.
    assert everything == {service["bom-ref"], *(ref for refs in needs.values() for ref in refs)}
    # The same bill each time, wherever it is written.
    again = tmp_path / "again.json"
    subprocess.run([ROOT / "bin/sbom", again], check=True)
    assert again.read_bytes() == file.read_bytes()


def locked() -> dict[str, str]:
    """The versions in the lock file, of what this machine installs."""
    lines = re.findall(r"^\w.*?(?= \\$)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in found
        if one.marker is None or one.marker.evaluate()
    }
