"""What makes a release, as far as it can be tried here: workflows, Renovate's file, one version everywhere, the notes."""

import importlib.resources
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from listener import __version__
from listener.ops import version
from listener.ops.openapi import openapi_document
from listener.settings.settings import Settings
from registrar.thingspace.transport import USER_AGENT
from testbed.programs import find_development_program
from tests.support import deploy_files
from tests.support.deploy_files import ROOT
from tests.support.tracked_files import tracked_files

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# A commit, and the version that it has. The one exception is the branch that PyPA itself tells users to take.
PINNED = re.compile(
    r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|pypa/gh-action-pypi-publish@release/v1 # zizmor.*"
)
LOCAL = re.compile(r"\./\.github/workflows/\w+\.yml\b.*")


def load(path: Path) -> Any:
    # As text, since YAML takes the key `on` for a truth.
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)


def jobs() -> list[tuple[str, Any]]:
    return [pair for path in WORKFLOWS for pair in load(path)["jobs"].items()]


def steps() -> list[Any]:
    return [step for _, job in jobs() for step in job.get("steps", [])]


def schema(name: str) -> Any:
    folder = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    return json.loads((folder / f"{name}.json").read_text())


def test_renovates_file_is_valid() -> None:
    content = json.loads((ROOT / "renovate.json").read_text())
    validator = schema("renovate")
    jsonschema.validate(content, validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"schedule": 5}, validator)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_is_valid_and_grants_nothing_but_to_single_jobs(path: Path) -> None:
    content = load(path)
    jsonschema.validate(
        yaml.safe_load(path.read_text().replace("\non:", '\n"on":')), schema("github-workflows")
    )
    assert content["permissions"] == {}
    assert all("permissions" in job for job in content["jobs"].values())


def test_no_known_hole_is_in_the_workflows() -> None:
    zizmor = find_development_program("zizmor")
    folder = ROOT / ".github"
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_dockerfile_has_no_known_flaw() -> None:
    hadolint = find_development_program("hadolint")
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_actions_are_pinned_by_their_commits() -> None:
    used = [use for path in WORKFLOWS for use in re.findall(r"uses: (.+)", path.read_text())]
    assert used
    assert [use for use in used if not PINNED.fullmatch(use) and not LOCAL.fullmatch(use)] == []


def test_every_python_that_the_package_names_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert dict(jobs())["quick"]["strategy"]["matrix"]["python"] == named


def test_scripts_that_the_workflows_run_are_there() -> None:
    lines = [step["run"] for step in steps() if "run" in step]
    scripts = re.findall(r"(?:^|\s)((?:bin/|\.ci/)[\w-]+)", "\n".join(lines))
    assert {"bin/test", ".ci/run", "bin/sbom", "bin/release-notes"} <= set(scripts)
    for script in scripts:
        assert (ROOT / script).stat().st_mode & 0o111
        subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_release_builds_the_image_with_all_that_its_labels_need() -> None:
    [build] = [step["with"] for step in steps() if "build-args" in step.get("with", {})]
    given = {line.partition("=")[0] for line in build["build-args"].splitlines()}
    arguments = [rest for word, rest in deploy_files.instructions() if word == "ARG"]
    assert given == {text.partition("=")[0] for text in arguments}
    assert (build["platforms"], build["sbom"]) == ("linux/amd64,linux/arm64", "true")
    assert build["provenance"] == "mode=max"


def test_every_place_reports_one_version() -> None:
    assert version.version_info()["version"] == __version__
    assert (
        openapi_document(Settings.from_env({"ALLOW_ANY_SENDER": "true"}))["info"]["version"]
        == __version__
    )
    assert f"thingspace-fota-listener/{__version__}" == USER_AGENT
    documents = [
        ROOT / name for name in tracked_files(ROOT) if re.search(r"\.(md|ya?ml)$|Dockerfile$", name)
    ]
    found = [
        tag
        for path in documents
        for tag in re.findall(r"thingspace-fota-\w+:(\d[\w.]*)", path.read_text())
    ]
    assert len(found) > 2
    assert set(found) == {__version__}


def released(folder: Path, changelog: str, tag: str) -> "subprocess.CompletedProcess[str]":
    """bin/release-notes in a checkout with another changelog."""
    for name in ("bin/release-notes", "listener/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "CHANGELOG.md").write_text(changelog)
    return subprocess.run(
        [folder / "bin/release-notes", tag], capture_output=True, text=True, check=False
    )


CHANGELOG = f"# Changelog\n\n## [Unreleased]\n\n- coming\n\n## [{__version__}] - 2026-12-01\n\n- new\n\n## [0.0.1]\n\n- old\n"


def test_notes_of_a_release_are_its_part_of_the_changelog(tmp_path: Path) -> None:
    done = released(tmp_path, CHANGELOG, f"v{__version__}")
    assert (done.returncode, done.stdout.strip()) == (0, "- new")


@pytest.mark.parametrize(
    ("changelog", "tag"),
    [
        (CHANGELOG, "v9.9.9"),
        (CHANGELOG, __version__),
        (CHANGELOG.replace(__version__, "9.9.9"), f"v{__version__}"),
        (CHANGELOG.replace("- new", ""), f"v{__version__}"),
        (CHANGELOG.replace(__version__, f"{__version__}.1"), f"v{__version__}"),
    ],
    ids=["another version", "no v", "no section", "an empty section", "a longer version"],
)
def test_tag_that_does_not_fit_ends_the_release(tmp_path: Path, changelog: str, tag: str) -> None:
    done = released(tmp_path, changelog, tag)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("release-notes: ")
