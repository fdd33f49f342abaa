"""The exception tree: one class for each reason to refuse a request, and the table of how each is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar


@dataclass(frozen=True)
class ProblemType:
    """The HTTP status of a refusal, and its title for a human reader."""

    status: int
    title: str


PROBLEM_TYPES: Mapping[str, ProblemType] = MappingProxyType(
    {
        "not-json": ProblemType(400, "The body is not JSON within this service's limits."),
        "not-an-object": ProblemType(400, "The body is JSON, but not an object."),
        "ambiguous": ProblemType(400, "A member that decides comes twice, with different values."),
        "compressed": ProblemType(400, "The body is compressed; only plain JSON is read."),
        "wrong-shape": ProblemType(400, "A container of this message type has the wrong shape."),
        "bad-request": ProblemType(400, "The request is not well-formed HTTP."),
        "too-slow": ProblemType(400, "The request did not arrive in time."),
        "credentials-missing": ProblemType(401, "The body lacks the username or the password."),
        "credentials-wrong": ProblemType(401, "The username or the password in the body is wrong."),
        "source-refused": ProblemType(403, "Messages from this address are not accepted."),
        "account-refused": ProblemType(403, "Messages for this account are not accepted."),
        "not-found": ProblemType(404, "There is nothing at this path."),
        "method-not-allowed": ProblemType(405, "This path does not answer this method."),
        "too-large": ProblemType(413, "The request is larger than this service accepts."),
        "internal-error": ProblemType(503, "The service failed; the message was not kept."),
        "queue-unavailable": ProblemType(503, "The message cannot be kept now; send it again."),
    }
)
"""By reason word. The same word stands in the answer, the log line and the label of the metric."""


class ListenerError(Exception):
    """The root of the listener's errors."""


class SettingsError(ListenerError):
    """The environment is not a valid configuration; holds every problem, not just the first."""

    def __init__(self, problems: Mapping[str, Sequence[str]]) -> None:
        """Takes the problems, by the name of the variable."""
        self.problems = {name: tuple(texts) for name, texts in sorted(problems.items())}
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line a problem, `VARIABLE: what is wrong`; never a variable's value."""
        return [f"{name}: {text}" for name, texts in self.problems.items() for text in texts]


class RefusalError(ListenerError):
    """A request is refused. Only subclasses are raised: each has a reason, a key of `PROBLEM_TYPES`.

    The detail is for the log. It never holds anything that the sender wrote, except its address.
    """

    reason: ClassVar[str]

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        super().__init__(f"{self.reason}: {detail}" if detail else self.reason)

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return PROBLEM_TYPES[self.reason].status


class InvalidMessageError(RefusalError):
    """The content of a body is not a message that the queue takes."""


class NotJsonError(InvalidMessageError):
    """The body is not JSON, even when read leniently, or exceeds a limit of its structure."""

    reason = "not-json"


class NotAnObjectError(InvalidMessageError):
    """The body is JSON, but not an object."""

    reason = "not-an-object"


class AmbiguousError(InvalidMessageError):
    """A member that decides about the message comes twice, with different values."""

    reason = "ambiguous"


class CompressedError(InvalidMessageError):
    """The body is compressed, or its headers say so."""

    reason = "compressed"


class WrongShapeError(InvalidMessageError):
    """A container of a recognised type has the wrong shape."""

    reason = "wrong-shape"


class MalformedRequestError(RefusalError):
    """The request is not well-formed HTTP, or ended before it was complete."""

    reason = "bad-request"


class RequestTooSlowError(RefusalError):
    """The request was not complete when its time was over, or was evicted for other requests."""

    reason = "too-slow"


class RequestTooLargeError(RefusalError):
    """The head, the body, or the framing of the body's chunks exceeds its limit."""

    reason = "too-large"


class NotFoundError(RefusalError):
    """There is nothing at this path, or its token is wrong."""

    reason = "not-found"


class MethodNotAllowedError(RefusalError):
    """The path does not answer this method."""

    reason = "method-not-allowed"

    def __init__(self, allow: str) -> None:
        """Takes the methods that the path does answer, as the Allow header has them."""
        super().__init__()
        self.allow = allow


class CredentialsError(RefusalError):
    """The credentials in the body do not authenticate the sender."""


class CredentialsMissingError(CredentialsError):
    """The body lacks the username or the password."""

    reason = "credentials-missing"


class CredentialsWrongError(CredentialsError):
    """The username or the password in the body is wrong."""

    reason = "credentials-wrong"


class SourceRefusedError(RefusalError):
    """Messages from this address are not accepted."""

    reason = "source-refused"


class AccountRefusedError(RefusalError):
    """Messages for this account are not accepted."""

    reason = "account-refused"


class InternalError(RefusalError):
    """An exception that nobody expected; its own class is the detail."""

    reason = "internal-error"


class QueueUnavailableError(RefusalError):
    """The queue did not confirm a write in time. The write may still have happened."""

    reason = "queue-unavailable"


class MessageRefusedError(QueueUnavailableError):
    """Redis, or what stands before it, does not take this one message, and takes others.

    `certain` says whether an answer refused it, rather than that the connection was cut or that there was
    no answer in time, each time that it was tried.
    """

    def __init__(self, detail: str, *, certain: bool) -> None:
        super().__init__(detail)
        self.certain = certain
