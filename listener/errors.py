"""Every way in which the listener says no: one tree, one reason word per cause, one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Answer:
    """How a reason is answered: the HTTP status and a sentence for the one who reads it."""

    status: int
    title: str


REASONS: Mapping[str, Answer] = MappingProxyType(
    {
        "not-json": Answer(400, "The body is not JSON within this service's limits."),
        "not-an-object": Answer(400, "The body is JSON, but not an object."),
        "ambiguous": Answer(400, "A member that decides comes twice, with different values."),
        "compressed": Answer(400, "The body is compressed; only plain JSON is read."),
        "wrong-shape": Answer(400, "A container of this message type has the wrong shape."),
        "bad-request": Answer(400, "The request is not well-formed HTTP."),
        "too-slow": Answer(400, "The request did not arrive in time."),
        "credentials-missing": Answer(401, "The body lacks the username or the password."),
        "credentials-wrong": Answer(401, "The username or the password in the body is wrong."),
        "source-refused": Answer(403, "Messages from this address are not accepted."),
        "account-refused": Answer(403, "Messages for this account are not accepted."),
        "not-found": Answer(404, "There is nothing at this path."),
        "method-not-allowed": Answer(405, "This path does not answer this method."),
        "too-large": Answer(413, "The request is larger than this service accepts."),
        "internal-error": Answer(503, "The service failed; the message was not kept."),
        "queue-unavailable": Answer(503, "The message cannot be kept now; send it again."),
    }
)
"""Each reason word and its answer. The same word stands in the answer, the log and the metrics."""


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
    """A request is refused; `reason` is a key of `REASONS`.

    The detail is for the log. It never holds anything that the sender wrote, but for its address.
    `proven` tells whether the sender had shown by then that it may send: what a stranger is refused
    is worth less of a log.
    """

    proven = False

    def __init__(self, reason: str, detail: str = "") -> None:
        """Takes the reason word and what the log should say beside it."""
        self.reason = reason
        self.detail = detail
        self.answer = REASONS[reason]
        super().__init__(f"{reason}: {detail}" if detail else reason)

    def problem(self) -> dict[str, object]:
        """The members of an RFC 9457 answer; they repeat nothing of the request."""
        answer = self.answer
        return {
            "type": "about:blank",
            "title": answer.title,
            "status": answer.status,
            "reason": self.reason,
        }


class QueueUnavailableError(RefusalError):
    """The queue did not confirm a write in time. The write may still have happened."""

    def __init__(self, detail: str) -> None:
        """Takes what the queue said."""
        super().__init__("queue-unavailable", detail)


class MessageRefusedError(QueueUnavailableError):
    """Redis, or what stands before it, does not take this one message, and takes others.

    `certain` says whether an answer refused it, rather than that the connection was cut or that there was
    no answer in time, each time that it was tried.
    """

    def __init__(self, detail: str, *, certain: bool) -> None:
        """Takes what was answered."""
        super().__init__(detail)
        self.certain = certain
