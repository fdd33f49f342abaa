"""What the consumer library raises beside ValueError for wrong arguments."""

from listener.errors import ListenerError


class ConsumerError(ListenerError):
    """The root of the consumer library's errors."""


class MalformedError(ConsumerError):
    """An entry of the stream is no message: somebody else than the listener wrote it."""
