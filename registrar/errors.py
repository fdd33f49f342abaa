"""Every way in which registering fails: one tree, split by what the caller does next.

`StopError`: nothing but a change by people helps. `AuthExpiredError`: renew what is named, once, and try
once more. `UnavailableError`: try again later. `RejectedError` and `NotExclusiveError`: give up this tick.
"""

from collections.abc import Callable, Collection
from typing import Literal

TokenKind = Literal["token", "session"]

MAX_DETAIL_CHARS = 200

# Reasons whose cause is on this machine or on the way, and whose detail is ours alone: asking again at once
# cannot help, and another detail is news for the log.
LOCAL_CAUSES = frozenset(
    (
        *("certificates-unreadable", "certificate-refused", "tls-failed", "unsendable"),
        *("proxy-unusable", "proxy-refused", "proxy-unreachable", "unknown-host"),
    )
)


class RegistrarError(Exception):
    """The root. `reason` is one word per cause: the same in the log, the status page and `status`.

    The detail is one line for people, cut; it never holds a credential, and a header never.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        """Takes the reason word and what to say beside it."""
        self.reason = reason
        self.detail = cut(detail)
        super().__init__(f"{reason}: {self.detail}" if self.detail else reason)


class StopError(RegistrarError):
    """Trying again with the same settings cannot help, and may lock the customer's account."""


class AuthExpiredError(RegistrarError):
    """The provider no longer accepts a token; `stale` names what to renew before trying again."""

    def __init__(self, reason: str, detail: str, stale: Collection[TokenKind]) -> None:
        """Takes the reason, what the provider said, and what is to be renewed."""
        super().__init__(reason, detail)
        self.stale: frozenset[TokenKind] = frozenset(stale)


class UnavailableError(RegistrarError):
    """The provider cannot answer now: try again later.

    Attributes:
        retry_after_s: how long the provider asks to wait, in seconds, if it says.
        sent: whether the request may have been carried out all the same.
        status: of the provider's answer; None: there was no answer, or nothing was sent.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        sent: bool,
        http_status: int | None = None,
    ) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s
        self.sent = sent
        self.http_status = http_status


class RejectedError(RegistrarError):
    """The provider understood and refuses: the same request will be refused again."""


class AddressUnknownError(StopError):
    """Nobody knows where COMMAND listens, so nobody can see when it is ready."""

    def __init__(self, detail: str) -> None:
        """Takes why."""
        super().__init__("address-unknown", detail)


class NotVerifiedError(RejectedError):
    """The provider confirmed a registration, and shows something else; `detail` says what differs."""

    def __init__(self, detail: str) -> None:
        """Takes what differs, without its value."""
        super().__init__("not-verified", detail)


class NotExclusiveError(RegistrarError):
    """Another process may be writing now, so this one must not."""


class PausedError(RegistrarError):
    """The provider asked for a pause, and it is not over: nothing was sent.

    Attributes:
        left_s: how long it still lasts, in seconds.
    """

    def __init__(self, left_s: float) -> None:
        super().__init__("paused", f"for {left_s:.0f} s more")
        self.left_s = left_s


class StoppingError(NotExclusiveError):
    """This process is to end: it begins nothing any more."""

    def __init__(self) -> None:
        """Needs no details."""
        super().__init__("stopping")


def failure_of(attempt: Callable[[], object]) -> RegistrarError | None:
    """What went wrong in an attempt whose result does not matter; None: it succeeded."""
    try:
        attempt()
    except RegistrarError as error:
        return error
    return None


def cut(text: str) -> str:
    """The text on one line, no longer than a log line bears, without what a terminal would obey."""
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return line if len(line) <= MAX_DETAIL_CHARS else line[: MAX_DETAIL_CHARS - 1] + "…"
