"""Reads every error shape of the provider, and says what each means for the caller.

Pure. The shapes, from the provider's pages and SDK [doc, sdk]: FOTA's `errorCode`, the gateway's
`fault`, OAuth's `error`, XML, HTML and nothing at all.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from registrar.errors import AuthExpiredError, RejectedError, UnavailableError
from registrar.http.reply import Reply
from registrar.thingspace.retry_after import next_access, retry_after

# The gateway's codes for a bearer that is missing, wrong or expired. [doc: 900901, 900902; the
# others of the same block of its maker's (WSO2) list]
BEARER_FAULTS = frozenset({"900901", "900902", "900903", "900904", "900905"})
NO_SUCH_PATH = "900906"
# [doc] on a sibling API: …REQUEST_FAILED.SessionToken.Expired, …INPUT_INVALID.SessionToken.Invalid.
SESSION_MARK = "SessionToken"
# The gateway's codes for a caller who is throttled. [doc: its maker's (WSO2) list]
THROTTLED_FAULTS = frozenset(str(code) for code in range(900800, 900810))

# How "nothing is registered" may be worded; a sibling service says CALLBACK_NOT_REGISTERED [doc], FOTA's own
# way is [?]. Searched in the code and in the message, each in plain words.
NOTHING_REGISTERED = re.compile(
    r"\b(callbacks?|listeners?|registrations?)\b.*\bnot?\b.*\b(registered|found|exists?|configured)\b"
    r"|\bno\b.*\b(callbacks?|listeners?|registrations?)\b"
    r"|^((resource|record|data) )?not (registered|found)\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Complaint:
    """What an error says: its code as text (empty if it has none), and a line for people.

    Attributes:
        of_gateway: whether it is in the gateway's own form, a `fault`.
        next_access: when the gateway lets the caller in again, in whatever form it says so.
    """

    code: str
    message: str
    of_gateway: bool = False
    next_access: Any = None

    def __str__(self) -> str:
        """For the detail of an error."""
        return " ".join(part for part in (self.code, self.message) if part)

    @property
    def bearer_refused(self) -> bool:
        """Whether the gateway refused the bearer: then what is behind it never saw the call."""
        return self.of_gateway and self.code in BEARER_FAULTS


def complaint(reply: Reply) -> Complaint:
    """What an answer complains of, whatever its shape."""
    try:
        content = reply.json()
    except ValueError:
        return _xml_fault(reply.text) or Complaint("", _plain(reply.text))
    if not isinstance(content, dict):
        return Complaint("", "")
    fault = content.get("fault")
    if isinstance(fault, dict):
        said = _said(fault, "code", "message")
        return replace(said, of_gateway=True, next_access=fault.get("nextAccessTime"))
    if "errorCode" in content or "errorMessage" in content:
        return _said(content, "errorCode", "errorMessage")
    return _said(content, "error", "error_description")


def says_nothing_registered(reply: Reply) -> bool:
    """Whether an answer says, in one of the ways that are thinkable [?], that nothing is registered.

    A 404 does, unless the gateway says that there is no such path; and so does an error whose code or
    message says it. A dead session or a refused bearer never does.
    """
    said = complaint(reply)
    if SESSION_MARK in said.code or said.of_gateway:
        return False
    if reply.status == 404:
        return said.code != NO_SUCH_PATH
    is_error = reply.status in {400, 403} or (reply.ok and said.code)
    if not is_error or reply.text.startswith("<"):
        return False
    return any(NOTHING_REGISTERED.search(_words(text)) for text in (said.code, said.message))


def check(reply: Reply, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Returns if the provider accepted the call. A 2xx whose body is an error is none.

    Raises:
        UnavailableError: it cannot answer now; obey its `retry_after_s`.
        AuthExpiredError: a token or the session is refused. An answer of 401 that does not say which
            names both: a dead session has been seen to be answered 401 [seen], and asking for the
            OAuth token again returns the same one [doc].
        RejectedError: anything else.
    """
    said = complaint(reply)
    if reply.ok and said.code in ("", "0"):
        return
    detail = f"HTTP {reply.status} {said}"
    if said.bearer_refused:
        raise AuthExpiredError("token-refused", detail, {"token"})
    if SESSION_MARK in said.code:
        raise AuthExpiredError("session-refused", detail, {"session"})
    if error := outage(reply, said, now()):
        raise error
    if reply.status == 401:
        raise AuthExpiredError("unauthorized", detail, {"token", "session"})
    raise RejectedError(_rejection(reply.status, said), detail)


def outage(reply: Reply, said: Complaint, now: datetime) -> UnavailableError | None:
    """The error of an answer that says: not now; None: it says something else."""
    if reply.status == 407:
        return _unavailable("proxy-refused", reply, said, now, sent=False)
    if reply.status == 429 or (said.of_gateway and said.code in THROTTLED_FAULTS):
        return _unavailable("throttled", reply, said, now, sent=False)
    if reply.status >= 500 or reply.status == 408:
        # A gateway that gave up waiting does not know what became of the request behind it.
        sent = reply.status in {408, 504}
        return _unavailable("provider-failed", reply, said, now, sent=sent)
    return None


def unreadable(reply: Reply) -> UnavailableError:
    """A page where data should be: something that stands in between answered.

    What is no page is not repeated: a broken answer to a query may hold credentials in clear.
    """
    page = _plain(reply.text) if reply.text.startswith("<") else "not the JSON that was expected"
    detail = f"HTTP {reply.status} {page}"
    return UnavailableError("unreadable", detail, sent=True, http_status=reply.status)


def _unavailable(
    reason: str, reply: Reply, said: Complaint, now: datetime, *, sent: bool
) -> UnavailableError:
    asked = (retry_after(reply.headers.get("retry-after"), now), next_access(said.next_access, now))
    return UnavailableError(
        reason,
        f"HTTP {reply.status} {said}",
        retry_after_s=max((wait for wait in asked if wait is not None), default=None),
        sent=sent,
        http_status=reply.status,
    )


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


def _words(text: str) -> str:
    """A code such as CALLBACK_NOT_REGISTERED or CallbackNotFound as plain words."""
    return re.sub(r"[\s_.\-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).strip()


def _xml_fault(text: str) -> Complaint | None:
    """The gateway's fault as XML. [doc: a 403 can be an XML document]"""
    if "wso2.org/apimanager" not in text[:2000]:
        return None
    found = dict(
        re.findall(r"<am[a-z]*:(code|message|nextAccessTime)\b[^>]*>([^<]{0,300})</", text[:4000])
    )
    return Complaint(
        found.get("code", ""), found.get("message", ""), True, found.get("nextAccessTime")
    )


def _plain(text: str) -> str:
    # Tags of XML and HTML say nothing to the reader of a log.
    return re.sub(r"<[^>]*>", " ", text[:2000])
