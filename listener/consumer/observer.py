"""Where a program hears what its consumer does: for metrics."""

from listener.consumer.log import log


class Observer:
    """Does nothing; make a class of your own of it, with the methods that you want.

    The methods are called by the consumer's threads, several at once, and never under a lock. They
    should return soon. What they raise is logged and changes nothing.
    """

    def received(self, messages: int, partition: int) -> None:
        """So many messages came from the stream, for the first time for this group."""

    def taken_over(self, messages: int, partition: int) -> None:
        """So many messages came from consumers that are gone, were handed back, or requeued."""

    def handled(self, kind: str, seconds: float) -> None:
        """A handler returned, after so many seconds; the acknowledgement follows."""

    def failed(self, kind: str, error: BaseException) -> None:
        """A handler raised; `retried` or `buried` follows."""

    def retried(self, kind: str, delay_s: float) -> None:
        """A message whose handler raised will be handled again in so many seconds."""

    def buried(self, kind: str, reason: str) -> None:
        """A message went to the dead stream: `handler-failed`, `crashed` or `malformed`."""

    def lost(self, messages: int) -> None:
        """So many messages were in hand and belong to another consumer now."""


class Guarded(Observer):
    """Passes everything on to an observer, and logs what that one raises."""

    def __init__(self, observer: Observer) -> None:
        """Takes the program's observer."""
        self._observer = observer

    def received(self, messages: int, partition: int) -> None:
        """See `Observer`."""
        self._tell("received", messages, partition)

    def taken_over(self, messages: int, partition: int) -> None:
        """See `Observer`."""
        self._tell("taken_over", messages, partition)

    def handled(self, kind: str, seconds: float) -> None:
        """See `Observer`."""
        self._tell("handled", kind, seconds)

    def failed(self, kind: str, error: BaseException) -> None:
        """See `Observer`."""
        self._tell("failed", kind, error)

    def retried(self, kind: str, delay_s: float) -> None:
        """See `Observer`."""
        self._tell("retried", kind, delay_s)

    def buried(self, kind: str, reason: str) -> None:
        """See `Observer`."""
        self._tell("buried", kind, reason)

    def lost(self, messages: int) -> None:
        """See `Observer`."""
        self._tell("lost", messages)

    def _tell(self, name: str, *what: object) -> None:
        try:
            getattr(self._observer, name)(*what)
        except BaseException:  # noqa: BLE001 - even sys.exit() is the observer's failure alone
            log.exception("the observer failed", method=name)
