"""`send-test`: what an answer means, and what the message is."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from listener.cli.test_message import answers
from listener.cli.test_message.answers import judge
from listener.cli.test_message.http_post import Answer
from listener.cli.test_message.message import build_message
from listener.errors import PROBLEM_TYPES
from listener.messages.message import Message
from listener.settings.settings import Settings

PROBLEM = {"content-type": "application/problem+json"}
NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
TOKEN = "token-of-all-the-tests"


def answer(status: int, content: Any = b"<html>", **headers: str) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer(status, {"server": "nginx", **headers}, body, 0.1)


@pytest.mark.parametrize("duplicate", [True, False])
def test_answer_of_the_service_has_the_id(duplicate: bool) -> None:
    verdict = judge(answer(200, {"id": "8a6b", "duplicate": duplicate}))
    assert (verdict.id, verdict.duplicate, verdict.problem) == ("8a6b", duplicate, "")


@pytest.mark.parametrize(
    "content",
    [b"", b"OK", b"[]", b"{", b"[" * 100_000, {}, {"id": 7, "duplicate": False}, {"id": "8a6b"}],
)
def test_success_that_is_not_of_the_service_loses_the_message(content: Any) -> None:
    verdict = judge(answer(200, content))
    assert verdict.id is None
    assert verdict.problem.startswith("nginx answered 200, but not this service: ")


@pytest.mark.parametrize("reason", PROBLEM_TYPES)
def test_refusal_of_the_service_is_named_by_its_reason(reason: str) -> None:
    status = PROBLEM_TYPES[reason].status
    verdict = judge(answer(status, {"reason": reason}, **PROBLEM))
    assert verdict.problem.startswith(f"the service refused it, {status} {reason}: ")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "asks for a login"),
        (404, "does not pass this path on"),
        (413, "refuses the size"),
        (429, "limits the rate"),
        (500, "no answer of this service"),
        (502, "does not reach the service"),
        (503, "has no service to pass it on to"),
        (504, "waited for the service for too long"),
    ],
)
def test_answer_of_a_proxy_is_not_taken_for_one_of_the_service(status: int, says: str) -> None:
    for content, headers in (
        (b"<html>", {}),
        ({"reason": "not-found"}, {}),
        ({"reason": "unheard-of"}, PROBLEM),
    ):
        problem = judge(answer(status, content, **headers)).problem
        assert problem.startswith(f"nginx answered {status}: ")
        assert says in problem
    assert "a server that does not give its name" in judge(Answer(status, {}, b"", 0.1)).problem


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_shown_without_its_path(status: int) -> None:
    problem = judge(answer(status, location=f"https://www.example.com/cb/{TOKEN}")).problem
    assert (TOKEN in problem, "a redirect to https://www.example.com:" in problem) == (False, True)
    assert "a redirect: " in judge(answer(status, location="/other")).problem
    assert "a redirect: " in judge(answer(status)).problem


def settings(**environ: str) -> Settings:
    return Settings.from_env(
        {"CALLBACK_TOKEN": TOKEN, "CALLBACK_USERNAME": "u", "CALLBACK_PASSWORD": "p", **environ}
    )


@pytest.mark.parametrize(
    ("versions", "has_credentials"), [("v1", True), ("v1,v2", True), ("v2", False), ("v3", False)]
)
def test_message_has_the_credentials_that_the_version_repeats(
    versions: str, has_credentials: bool
) -> None:
    message = build_message(settings(THINGSPACE_API_VERSIONS=versions), None, NOW, "1")
    assert ("password" in message, "username" in message) == (has_credentials, has_credentials)


def test_message_is_about_no_upgrade_and_names_an_account_if_there_is_one() -> None:
    assert "accountName" not in build_message(settings(), None, NOW, "1")
    accounts = settings(THINGSPACE_ACCOUNTS="0242078689-00001,0242078689-00002")
    built = build_message(accounts, None, NOW, "1")
    message = Message.from_payload(built, arrived=NOW, request_id="r")
    assert (message.kind, message.account, message.subject) == ("unknown", "0242078689-00001", None)
    assert message.type == "com.verizon.thingspace.fota.listenerTest"
    assert build_message(accounts, "x", NOW, "1")["accountName"] == "x"
    again = Message.from_payload(
        build_message(accounts, None, NOW, "2"), arrived=NOW, request_id="r"
    )
    assert again.id != message.id


def test_member_of_an_answer_that_is_no_object_is_none() -> None:
    assert answers.member(answer(200, b"[1]"), "answer") is None
    assert answers.member(answer(200, {"answer": "x"}), "answer") == "x"
