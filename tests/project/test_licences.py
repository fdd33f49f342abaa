"""What the service runs on may be used: each dependency's licence is noted, is what its package says, and is permissive."""

import re
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
from packaging.requirements import Requirement

LINES = (Path(__file__).parents[2] / "requirements.txt").read_text().splitlines()
DIRECT, NEEDED = "# --- direct", "# --- what those need"
PERMISSIVE = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "PSF-2.0", "ZPL-2.1"}
# It binds only those who change its files: a list of certificates, and a library that is used as it comes.
FILE_BY_FILE = {"certifi": {"MPL-2.0"}, "orjson": {"MPL-2.0"}}
# What a package means that says no more than BSD.
EITHER_BSD = {"BSD-2-Clause", "BSD-3-Clause"}
CLASSIFIERS = {
    "MIT License": {"MIT"},
    "Apache Software License": {"Apache-2.0"},
    "BSD License": EITHER_BSD,
}
# async-timeout, which only Pythons before 3.11.3 need, has no licence expression.
EXPRESSIONS = {"Apache 2": "Apache-2.0"}
NOTE = re.compile(r"(?P<pin>[^#]+?)\s*#\s*(?P<why>.+?)\s+\((?P<licence>[^()]+)\)")


def pins() -> list[str]:
    return [line for line in LINES if line and not line.startswith("#")]


def names(text: str) -> set[str]:
    """The licences in an expression; how they are joined is not looked at."""
    plain = EXPRESSIONS.get(text, text).replace("(", "").replace(")", "")
    return set(re.split(r"\s+(?:and|or)\s+", plain, flags=re.IGNORECASE))


def said_by(package: str) -> set[str]:
    """The licences that an installed package may have, by its own word."""
    told = cast(Message, metadata.metadata(package))
    if text := told.get("License-Expression") or told.get("License"):
        return names(text)
    ends = [str(line).rpartition(" :: ")[2] for line in told.get_all("Classifier", [])]
    return set().union(*(CLASSIFIERS.get(end, set()) for end in ends))


def test_there_are_direct_dependencies_and_what_they_need() -> None:
    starts = [
        next(i for i, line in enumerate(LINES) if line.startswith(h)) for h in (DIRECT, NEEDED)
    ]
    assert starts == sorted(starts)
    assert len(pins()) > 20


@pytest.mark.parametrize("line", pins())
def test_a_dependency_has_a_reason_and_a_permissive_licence_that_is_its_own(line: str) -> None:
    noted = NOTE.fullmatch(line)
    assert noted, "wanted: name==version  # reason (licence)"
    requirement = Requirement(noted["pin"])
    licences = names(noted["licence"])
    assert licences <= PERMISSIVE | FILE_BY_FILE.get(requirement.name, set())
    if requirement.marker is None or requirement.marker.evaluate():
        said = said_by(requirement.name)
        assert licences < said if said == EITHER_BSD else licences == said
