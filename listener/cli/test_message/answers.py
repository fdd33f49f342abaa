"""What an answer to the test message means: kept, or why not and what to do. Pure."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from listener.cli.test_message.http_post import Answer
from listener.errors import PROBLEM_TYPES

PROBLEM = "application/problem+json"
# By the reason word of the service's own answer.
REFUSED = {
    "credentials-missing": "the service expects CALLBACK_USERNAME and CALLBACK_PASSWORD, which are not set here, "
    "or v1 is not among THINGSPACE_API_VERSIONS here",
    "credentials-wrong": "CALLBACK_USERNAME or CALLBACK_PASSWORD is another one here than the service's",
    "source-refused": "CALLBACK_SOURCES of the service does not name this host's address, or TRUSTED_PROXIES "
    "does not count the proxies in front; ThingSpace's own messages may pass all the same",
    "account-refused": "the account is not among the THINGSPACE_ACCOUNTS of the service",
    "not-found": "the service serves another path, or another token: compare PUBLIC_URL and CALLBACK_TOKEN here "
    "with the service's, and see whether a proxy in front changes the path",
    "too-slow": "the request reached the service too slowly: a proxy in front may hold it up",
    "too-large": "MAX_BODY_BYTES of the service is very small",
    "queue-unavailable": "neither Redis nor the spool could keep it, so a message of ThingSpace is lost now: run "
    "`check` on the service's host",
    "internal-error": "the service failed, and its log says why",
}
IN_FRONT = {
    401: "something in front asks for a login, which ThingSpace does not have",
    403: "something in front refuses it: a firewall for web applications, or a list of addresses",
    404: "something in front does not pass this path on to the service",
    405: "something in front does not pass POST on at this path",
    411: "something in front wants a Content-Length",
    413: "something in front refuses the size of the request",
    429: "something in front limits the rate",
    502: "a proxy in front does not reach the service: does it run, and at this port?",
    503: "a proxy in front has no service to pass it on to, or is overloaded",
    504: "a proxy in front waited for the service for too long",
}


@dataclass(frozen=True)
class Verdict:
    """What an answer means.

    Attributes:
        id: of the message, if the service says that it is kept; None: it does not.
        duplicate: whether it was there already.
        problem: what is wrong, in a sentence; empty if the message is kept.
    """

    id: str | None
    duplicate: bool = False
    problem: str = ""


def judge(answer: Answer) -> Verdict:
    """What an answer to the test message means; its text holds nothing of the body but a known word."""
    content = _object(answer.body)
    if 200 <= answer.status < 300:
        message_id, duplicate = content.get("id"), content.get("duplicate")
        if isinstance(message_id, str) and isinstance(duplicate, bool):
            return Verdict(message_id, duplicate)
        return Verdict(
            None,
            problem=f"{_by(answer)} answered {answer.status}, but not this service: ThingSpace would take its message "
            "for delivered, and it is lost. PUBLIC_URL leads elsewhere, or something in front answers itself",
        )
    if 300 <= answer.status < 400:
        return Verdict(None, problem=_redirect(answer))
    reason = content.get("reason")
    is_ours = answer.headers.get("content-type", "").startswith(PROBLEM) and reason in PROBLEM_TYPES
    if is_ours:
        text = REFUSED.get(str(reason)) or PROBLEM_TYPES[str(reason)].title
        return Verdict(None, problem=f"the service refused it, {answer.status} {reason}: {text}")
    text = IN_FRONT.get(answer.status, "that is no answer of this service")
    return Verdict(None, problem=f"{_by(answer)} answered {answer.status}: {text}")


def member(answer: Answer, name: str) -> Any:
    """A member of the JSON object that was answered; None if there is none."""
    return _object(answer.body).get(name)


def _redirect(answer: Answer) -> str:
    # Without its path, which may repeat the token.
    target = urlsplit(answer.headers.get("location", ""))
    where = f" to {target.scheme}://{target.netloc}" if target.netloc else ""
    return (
        f"{_by(answer)} answered {answer.status}, a redirect{where}: ThingSpace is not known to follow one, so "
        "register the URL that is meant"
    )


def _by(answer: Answer) -> str:
    """Who answered, as far as the answer says so."""
    return answer.headers.get("server", "")[:40].strip() or "a server that does not give its name"


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
