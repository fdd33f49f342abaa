"""Reads every error shape of the provider, and says what each means for the caller.

Pure. The shapes, from the provider's pages and SDK [doc, sdk]: FOTA's `errorCode`, the gateway's
`fault`, OAuth's `error`, XML, HTML and nothing at all.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from registrar.errors import RejectedError, RenewError, UnavailableError

# The gateway's codes for a bearer that is missing, wrong or expired. [doc: 900901, 900902; the
# others of the same block of its maker's (WSO2) list]
BEARER_FAULTS = frozenset({"900901", "900902", "900903", "900904", "900905"})
NO_SUCH_PATH = "900906"
# [doc] on a sibling API: …REQUEST_FAILED.SessionToken.Expired, …INPUT_INVALID.SessionToken.Invalid.
SESSION_MARK = "SessionToken"

# A server that asks for more is asked again all the same after so long: the next tick is due.
LONGEST_RETRY_AFTER_S = 300.0


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as a value; the names of its headers are in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the provider says that it did what was asked."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, with a stand-in for what is not UTF-8."""
        return self.body.decode("utf-8", "replace").strip()

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is something else.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None


@dataclass(frozen=True)
class Complaint:
    """What an error says: its code as text (empty if it has none), and a line for people."""

    code: str
    message: str

    def __str__(self) -> str:
        """For the detail of an error."""
        return " ".join(part for part in (self.code, self.message) if part)


def complaint(reply: Reply) -> Complaint:
    """What the provider says is wrong, whatever the shape; never raises."""
    try:
        content = reply.json()
    except ValueError:
        return Complaint("", _plain(reply.text))
    if not isinstance(content, dict):
        return Complaint("", "")
    fault = content.get("fault")
    if isinstance(fault, dict):
        return _said(fault, "code", "message")
    if "errorCode" in content or "errorMessage" in content:
        return _said(content, "errorCode", "errorMessage")
    return _said(content, "error", "error_description")


def check(reply: Reply, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Returns if the provider accepted the call.

    Raises:
        UnavailableError: it cannot answer now; obey its `retry_after_s`.
        RenewError: a token or the session is refused. An answer of 401 that does not say which
            names both: a dead session has been seen to be answered 401 [seen], and asking for the
            OAuth token again returns the same one [doc].
        RejectedError: anything else.
    """
    if reply.ok:
        return
    said = complaint(reply)
    detail = f"HTTP {reply.status} {said}"
    if reply.status == 429:
        wait = retry_after(reply.headers.get("retry-after"), now())
        raise UnavailableError("throttled", detail, retry_after_s=wait, sent=False)
    if reply.status >= 500 or reply.status == 408:
        wait = retry_after(reply.headers.get("retry-after"), now())
        # A gateway that gave up waiting does not know what became of the request behind it.
        raise UnavailableError(
            "provider-failed", detail, retry_after_s=wait, sent=reply.status in {408, 504}
        )
    if SESSION_MARK in said.code:
        raise RenewError("session-refused", detail, {"session"})
    if said.code in BEARER_FAULTS:
        raise RenewError("token-refused", detail, {"token"})
    if reply.status == 401:
        raise RenewError("unauthorized", detail, {"token", "session"})
    raise RejectedError(_rejection(reply.status, said), detail)


def unreadable(reply: Reply) -> UnavailableError:
    """A page where data should be: something that stands in between answered.

    What is no page is not repeated: a broken answer to a query may hold credentials in clear.
    """
    page = _plain(reply.text) if reply.text.startswith("<") else "not the JSON that was expected"
    detail = f"HTTP {reply.status} {page}"
    return UnavailableError("unreadable", detail, sent=True)


def retry_after(header: str | None, now: datetime) -> float | None:
    """The wait, in seconds, that a Retry-After header asks for: a number, or a date; capped."""
    if header is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", header):
        return min(float(header), LONGEST_RETRY_AFTER_S)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _rejection(status: int, said: Complaint) -> str:
    if said.code == NO_SUCH_PATH:
        return "no-such-path"
    if 300 <= status < 400:
        return "redirected"
    return "forbidden" if status == 403 else "rejected"


def _said(content: Mapping[str, Any], code: str, message: str) -> Complaint:
    # Some codes come as strings, some as numbers. [doc]
    code_text, message_text = content.get(code), content.get(message)
    return Complaint(
        "" if code_text is None else str(code_text)[:100],
        "" if message_text is None else str(message_text)[:300],
    )


def _plain(text: str) -> str:
    # Tags of XML and HTML say nothing to the reader of a log.
    return re.sub(r"<[^>]*>", " ", text[:2000])
