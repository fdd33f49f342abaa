"""Every way in which registering fails: one tree, split by what the caller does next.

| error | what the caller does next |
|---|---|
| `StopError` | stops trying: an operator has to change something |
| `AuthExpiredError` | renews the stale tokens once, and tries once more |
| `UnavailableError` | tries again later |
| `PausedError` | waits until the pause is over |
| `RejectedError`, `NotExclusiveError` | gives up this tick |
| `StoppingError` | ends |
"""

from collections.abc import Callable, Collection
from typing import Literal

TokenKind = Literal["token", "session"]

MAX_DETAIL_CHARS = 200

# Reasons whose cause lies on this machine or on the way to the provider. A second attempt at once cannot help, and
# the detail is our own text, so that a changed one is worth a log line.
LOCAL_CAUSES = frozenset(
    (
        *("certificates-unreadable", "certificate-refused", "tls-failed", "unsendable"),
        *("proxy-unusable", "proxy-refused", "proxy-unreachable", "unknown-host"),
    )
)


class RegistrarError(Exception):
    """The root.

    Attributes:
        reason: one word per cause: the same in the log, the status page and `status`.
        detail: one line for people, truncated; it never holds a credential or a header.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = _one_line(detail)
        super().__init__(f"{reason}: {self.detail}" if self.detail else reason)


class StopError(RegistrarError):
    """Another attempt with the same settings cannot help, and may lock the customer's account."""


class AuthExpiredError(RegistrarError):
    """The provider no longer accepts a token; `stale` names what to renew before trying again."""

    def __init__(self, reason: str, detail: str, stale: Collection[TokenKind]) -> None:
        super().__init__(reason, detail)
        self.stale: frozenset[TokenKind] = frozenset(stale)


class UnavailableError(RegistrarError):
    """The provider cannot answer now: try again later.

    Attributes:
        retry_after_s: how long to wait, in seconds, if that is known.
        sent: whether the request may have been carried out all the same.
        http_status: of the provider's reply; None: there was no reply, or nothing was sent.
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
    """COMMAND's address is unknown, so the registrar cannot ask whether COMMAND is ready."""

    def __init__(self, detail: str) -> None:
        super().__init__("address-unknown", detail)


class NotVerifiedError(RejectedError):
    """The provider confirmed a registration, and returns another; `detail` names what differs, without values."""

    def __init__(self, detail: str) -> None:
        super().__init__("not-verified", detail)


class NotExclusiveError(RegistrarError):
    """Another process may be writing now, so this one must not write."""


class PausedError(RegistrarError):
    """The pause that the provider asked for is not over: nothing was sent.

    Attributes:
        left_s: how long the pause still lasts, in seconds.
    """

    def __init__(self, left_s: float) -> None:
        super().__init__("paused", f"for {left_s:.0f} s more")
        self.left_s = left_s


class StoppingError(NotExclusiveError):
    """This process is to end: it begins nothing more."""

    def __init__(self) -> None:
        super().__init__("stopping")


def failure_of(attempt: Callable[[], object]) -> RegistrarError | None:
    """The error of an attempt whose result does not matter; None: the attempt succeeded."""
    try:
        attempt()
    except RegistrarError as error:
        return error
    return None


def _one_line(text: str) -> str:
    """The text on one line of at most `MAX_DETAIL_CHARS`, without control characters."""
    line = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return line if len(line) <= MAX_DETAIL_CHARS else line[: MAX_DETAIL_CHARS - 1] + "…"
