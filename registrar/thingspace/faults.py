"""Parses ThingSpace's error replies (JSON, XML, an HTML page), and raises what they mean. Pure.

The shapes, from the provider's pages and SDK [doc, sdk]: FOTA's `errorCode`, the gateway's `fault`,
OAuth's `error`, XML, HTML and nothing at all.
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
class ProviderFault:
    """What an error reply says.

    Attributes:
        code: as text; empty if the reply has none.
        message: a line for people.
        of_gateway: whether it is in the gateway's own form, a `fault`.
        next_access: when the gateway lets the caller in again, as the gateway writes it.
    """

    code: str
    message: str
    of_gateway: bool = False
    next_access: Any = None

    def __str__(self) -> str:
        """Code and message, for the detail of an error."""
        return " ".join(part for part in (self.code, self.message) if part)

    @property
    def bearer_refused(self) -> bool:
        """Whether the gateway refused the bearer token; the service behind it never saw the call."""
        return self.of_gateway and self.code in BEARER_FAULTS


def parse_fault(reply: Reply) -> ProviderFault:
    """The error that a reply reports, in whatever shape; an empty one if it reports none."""
    try:
        content = reply.json()
    except ValueError:
        return _xml_fault(reply.text) or ProviderFault("", _strip_tags(reply.text))
    if not isinstance(content, dict):
        return ProviderFault("", "")
    gateway = content.get("fault")
    if isinstance(gateway, dict):
        fault = _fault(gateway, "code", "message")
        return replace(fault, of_gateway=True, next_access=gateway.get("nextAccessTime"))
    if "errorCode" in content or "errorMessage" in content:
        return _fault(content, "errorCode", "errorMessage")
    return _fault(content, "error", "error_description")


def says_nothing_registered(reply: Reply) -> bool:
    """Whether a reply reports, in one of the ways that FOTA might use [?], that nothing is registered.

    A 404 does, unless the gateway says that there is no such path; and so does an error whose code or
    message says it. A dead session or a refused bearer never does.
    """
    fault = parse_fault(reply)
    if SESSION_MARK in fault.code or fault.of_gateway:
        return False
    if reply.status == 404:
        return fault.code != NO_SUCH_PATH
    is_error = reply.status in {400, 403} or (reply.ok and fault.code)
    if not is_error or reply.text.startswith("<"):
        return False
    return any(NOTHING_REGISTERED.search(_words(text)) for text in (fault.code, fault.message))


def raise_for_fault(
    reply: Reply, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Returns if ThingSpace accepted the call. A 2xx whose body is an error did not.

    Raises:
        UnavailableError: ThingSpace cannot answer now; obey its `retry_after_s`.
        AuthExpiredError: a token or the session is refused. A 401 that does not say which one names both:
            a dead session has been seen to be answered 401 [seen], and asking for the OAuth token
            again returns the same one [doc].
        RejectedError: any other refusal.
    """
    fault = parse_fault(reply)
    if reply.ok and fault.code in ("", "0"):
        return
    detail = f"HTTP {reply.status} {fault}"
    if fault.bearer_refused:
        raise AuthExpiredError("token-refused", detail, {"token"})
    if SESSION_MARK in fault.code:
        raise AuthExpiredError("session-refused", detail, {"session"})
    if error := outage(reply, fault, now()):
        raise error
    if reply.status == 401:
        raise AuthExpiredError("unauthorized", detail, {"token", "session"})
    raise RejectedError(_rejection(reply.status, fault), detail)


def outage(reply: Reply, fault: ProviderFault, now: datetime) -> UnavailableError | None:
    """The error of a reply that says "not now"; None if it says something else."""
    if reply.status == 407:
        return _unavailable("proxy-refused", reply, fault, now, sent=False)
    if reply.status == 429 or (fault.of_gateway and fault.code in THROTTLED_FAULTS):
        return _unavailable("throttled", reply, fault, now, sent=False)
    if reply.status >= 500 or reply.status == 408:
        # A gateway that gave up waiting does not know what became of the request behind it.
        sent = reply.status in {408, 504}
        return _unavailable("provider-failed", reply, fault, now, sent=sent)
    return None


def unreadable_reply(reply: Reply) -> UnavailableError:
    """The error of a reply that is not the expected data, as when a proxy answers with a page.

    Only a page is quoted: a broken reply to a query may hold credentials in clear.
    """
    page = (
        _strip_tags(reply.text) if reply.text.startswith("<") else "not the JSON that was expected"
    )
    detail = f"HTTP {reply.status} {page}"
    return UnavailableError("unreadable", detail, sent=True, http_status=reply.status)


def _unavailable(
    reason: str, reply: Reply, fault: ProviderFault, now: datetime, *, sent: bool
) -> UnavailableError:
    asked = (
        retry_after(reply.headers.get("retry-after"), now),
        next_access(fault.next_access, now),
    )
    return UnavailableError(
        reason,
        f"HTTP {reply.status} {fault}",
        retry_after_s=max((wait for wait in asked if wait is not None), default=None),
        sent=sent,
        http_status=reply.status,
    )


def _rejection(status: int, fault: ProviderFault) -> str:
    if fault.code == NO_SUCH_PATH:
        return "no-such-path"
    if 300 <= status < 400:
        return "redirected"
    return "forbidden" if status == 403 else "rejected"


def _fault(content: Mapping[str, Any], code: str, message: str) -> ProviderFault:
    # Some codes come as strings, some as numbers. [doc]
    code_text, message_text = content.get(code), content.get(message)
    return ProviderFault(
        "" if code_text is None else str(code_text)[:100],
        "" if message_text is None else str(message_text)[:300],
    )


def _words(text: str) -> str:
    """A code such as CALLBACK_NOT_REGISTERED or CallbackNotFound as plain words."""
    return re.sub(r"[\s_.\-]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).strip()


def _xml_fault(text: str) -> ProviderFault | None:
    """The gateway's fault as XML. [doc: a 403 can be an XML document]"""
    if "wso2.org/apimanager" not in text[:2000]:
        return None
    elements = dict(
        re.findall(r"<am[a-z]*:(code|message|nextAccessTime)\b[^>]*>([^<]{0,300})</", text[:4000])
    )
    return ProviderFault(
        elements.get("code", ""), elements.get("message", ""), True, elements.get("nextAccessTime")
    )


def _strip_tags(text: str) -> str:
    # Tags of XML and HTML say nothing to the reader of a log.
    return re.sub(r"<[^>]*>", " ", text[:2000])
