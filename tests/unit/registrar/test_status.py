"""What `status` shows: nothing that a stranger wrote is more than text, and nothing is said twice."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from listener.registration_state import Observation
from registrar.cli import status_table
from registrar.coordination.membership import Member, MemberIdentity, Members
from registrar.login_breaker.record import LoginRecord
from registrar.model import Slot
from registrar.reconcile.observer import unknown
from registrar.status import Report, Row

BLANK = unknown(Slot("0242078689-00001", "v1"))
GOOD = replace(BLANK, ours=True, result="registered", reason="absent", registered_url="https://x")


def row(seen: Observation) -> Row:
    return Row(seen, seen, as_desired=seen.healthy)


def shown(*rows: Row, record: LoginRecord | None = None) -> str:
    out = io.StringIO()
    report = Report(rows, None, record or LoginRecord(), stored=True)
    status_table.show(report, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize("url", ["https://x/[/b]", "https://x/[red]a", "https://[fd00::1]/[bold]"])
def test_a_url_is_not_read_as_markup(url: str) -> None:
    assert url in shown(row(replace(GOOD, registered_url=url)))


# Sets the window's title, which some terminals can be made to type back; clears the screen; turns the text round; a
# control sequence in one letter; a line of its own.
COMMANDS = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\rall as desired\n"


@pytest.mark.parametrize(
    "field", ["account", "version", "registered_url", "contender", "since", "result", "reason"]
)
def test_what_others_wrote_to_redis_does_not_command_the_terminal(field: str) -> None:
    changed: Any = {"reason": "flapping", "contender": "https://y", field: COMMANDS}
    seen = replace(GOOD, **changed)
    failed = replace(BLANK, detail=COMMANDS)
    member = Member(MemberIdentity(COMMANDS, "deployment", "url"), joined_ms=0, expires_in_s=1)
    out = io.StringIO()
    report = Report((row(seen), row(failed)), Members((member,)), LoginRecord(), stored=True)
    status_table.show(report, Console(file=out, width=400))
    assert "owned" in out.getvalue()
    assert [letter for letter in out.getvalue() if not letter.isprintable()] == ["\n"] * len(
        out.getvalue().splitlines()
    )
    # For programs the letters are escaped.
    assert report.to_json().isascii()


def test_a_failure_that_concerns_all_is_told_once() -> None:
    failed = replace(BLANK, reason="breaker-open", detail="2 logins refused")
    text = shown(*(row(replace(failed, version=version)) for version in ("v1", "v2", "v3")))
    assert text.count("2 logins refused") == 1
    assert text.count("NOT AS DESIRED breaker-open") == 3


def test_what_was_just_registered_is_as_desired() -> None:
    assert "ok as-desired" in shown(row(GOOD))
    report = Report((row(GOOD),), None, LoginRecord(), stored=True)
    assert json.loads(report.to_json())["registrations"][0]["reason"] == "as-desired"


def test_an_open_breaker_says_what_to_do_first() -> None:
    text = shown(record=LoginRecord(refused=2))
    assert text.index("correct THINGSPACE_PASSWORD") < text.index("only if it is right")
    assert "needs no unlock" in text


def test_a_closed_breaker_shows_all_that_counts() -> None:
    text = shown(record=LoginRecord(refused=1, unanswered=2, pending={"a": 1.0}))
    assert "closed (1 refused, 2 unanswered, 1 under way)" in text
