"""docs/sandbox.md: its example runs, and its tables name every call, member and option with its default."""

import re
import subprocess
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

from sandbox.campaigns.requests import CampaignRequest
from sandbox.control.index import all_calls
from sandbox.reports.options import CHOICES, ReportOptions
from testbed.programs import find_program
from testbed.sandbox_client import Sandbox
from tests.support.sandbox_caller import Caller

DOCUMENT = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
START, EXAMPLE = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
TIMEOUT_S = 60


class SandboxOfTheDocument(Sandbox):
    """With the credentials that the document starts it with."""

    key, secret, username, password = "k", "s", "u", "p"


def test_the_example_runs_and_shows_a_finished_upgrade() -> None:
    find_program("curl")
    with SandboxOfTheDocument() as sandbox:
        script = EXAMPLE.replace("http://127.0.0.1:8900", sandbox.root_url)
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count('"UpgradeSuccess"') >= 2
    assert '"upgrades":2000' in ended.stdout.replace(" ", "")
    assert '"status": "InProgress"' in ended.stdout


def test_the_document_starts_the_sandbox_with_the_credentials_of_its_example() -> None:
    for option in ("--port 8900", "--key k", "--secret s", "--username u", "--password p"):
        assert option in START


def test_every_call_is_in_the_document() -> None:
    caller = Caller()
    with caller.client.application.app_context():
        calls = [call for call in all_calls() if call.path != "/"]
    assert len(calls) > 50
    missing = [call for call in calls if not is_documented(call.path)]
    assert missing == []


def is_documented(path: str) -> bool:
    """Whether the document has the path's fixed words, one after the other."""
    words = [word for word in re.split(r"<\w+>|[/()|,\s]+", path) if word]
    return all(word in DOCUMENT for word in words)


@pytest.mark.parametrize("option", fields(ReportOptions), ids=lambda option: option.name)
def test_every_option_is_in_the_document_with_its_default(option: "Field[Any]") -> None:
    name, default = option.name, option.default
    (row,) = [
        line
        for line in DOCUMENT.splitlines()
        if line.startswith("| `") and f"`{name}`" in line.split("|")[1]
    ]
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    shown = shown.lower() if isinstance(default, bool) else shown
    assert shown in row.split("|")[2]
    if name != "scheduled_callbacks":
        assert all(
            f"`{choice}`" in row for choice in CHOICES.get(name, ()) if choice != "documented"
        )


@pytest.mark.parametrize("member", fields(CampaignRequest), ids=lambda member: member.name)
def test_every_member_of_a_request_for_campaigns_is_in_the_document(member: "Field[Any]") -> None:
    assert re.search(rf"^\| (`\w+`, )?`{member.name}`", DOCUMENT, re.MULTILINE)
