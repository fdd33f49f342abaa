"""Turns an error into its HTTP answer, RFC 9457 problem+json, for both ports and the worker; counts and logs it."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

import orjson

from listener.errors import (
    PROBLEM_TYPES,
    InternalError,
    MethodNotAllowedError,
    ProblemType,
    RefusalError,
)
from listener.refusal_log import RefusalLog

CONTENT_TYPE = "application/problem+json"
# The provider's second attempt was observed 1.2 to 1.7 s after the first, on a sibling service; whether
# it reads this header is not known.
RETRY_AFTER_S = "1"


class ProblemResponse(NamedTuple):
    """A whole answer: the status line's text, such as `404 Not Found`, all headers, the body."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes


class ProblemResponder:
    """Counts, logs and answers errors; each process has two, the worker's and the public application's."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes a monotonic clock in seconds."""
        self._refusals = RefusalLog(clock)

    def respond(
        self, error: Exception, *, authenticated: bool = False, **fields: object
    ) -> ProblemResponse:
        """The answer to a request that was refused, or that failed with an unexpected exception.

        Args:
            error: a `RefusalError`; any other exception is answered and logged as an `InternalError`, with
                its traceback.
            authenticated: whether the sender had proved by then that it may send.
            fields: further fields of the log line; nothing that a stranger wrote.
        """
        if isinstance(error, RefusalError):
            refusal = error
        else:
            refusal = InternalError(type(error).__name__)
            fields["exc_info"] = error
        self._refusals.count_and_log(refusal, authenticated=authenticated, **fields)
        return refusal_response(refusal)

    def respond_not_ready(self, refusal: RefusalError, **fields: object) -> ProblemResponse:
        """The answer to a readiness check that failed: no message was refused, so none is counted."""
        self._refusals.log_not_ready(refusal, **fields)
        return refusal_response(refusal)


def refusal_response(refusal: RefusalError) -> ProblemResponse:
    """The answer to a refusal, with the headers that belong to its status."""
    headers = []
    if isinstance(refusal, MethodNotAllowedError):
        headers.append(("Allow", refusal.allow))
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", RETRY_AFTER_S))
    return problem_response(refusal.reason, PROBLEM_TYPES[refusal.reason], *headers)


def problem_response(
    reason: str, problem_type: ProblemType, *headers: tuple[str, str]
) -> ProblemResponse:
    """The answer to a problem; it repeats nothing of the request.

    Args:
        reason: the reason word.
        problem_type: the status and the title.
        headers: besides those of the body.
    """
    status = HTTPStatus(problem_type.status)
    members = {
        "type": "about:blank",
        "title": problem_type.title,
        "status": status.value,
        "reason": reason,
    }
    # The end of line is for those who call by hand in a terminal.
    body = orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE)
    of_body = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
    return ProblemResponse(f"{status.value} {status.phrase}", [*of_body, *headers], body)
