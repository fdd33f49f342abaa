"""How a consumer works: every option, its default and its bounds. Pure."""

from dataclasses import dataclass, field
from typing import TypedDict

from listener.consumer.backoff import Backoff

# What waits for its retry, or for one before it, may be so many times the batch: beyond that,
# reading on would only fill the memory.
HELD_BATCHES = 10


class Chosen(TypedDict, total=False):
    """The options that a program gives: see `Options`."""

    batch: int
    concurrency: int
    ordered: bool
    max_deliveries: int
    takeover_idle_s: float
    backoff: Backoff
    shutdown_s: float
    block_s: float


@dataclass(frozen=True, kw_only=True)
class Options:
    """The units stand in the names. See `docs/consumer.md` for what to choose.

    Args:
        batch: so many messages at most are in hand: read, and neither acknowledged nor waiting for
            a retry. In a Cluster: for each partition.
        concurrency: so many handlers at most run at once, each in a thread.
        ordered: messages with the same subject are handled one after the other, in their order.
        max_deliveries: a message that was given to a handler so often is dead.
        takeover_idle_s: a consumer that was silent for so long is gone, and others take its
            messages over.
        backoff: how long a message waits after a failure.
        shutdown_s: so long, when told to stop, what is in hand may take.
        block_s: so long one read waits for a message; it is also how long stopping may take at
            least.
    """

    batch: int = 100
    concurrency: int = 1
    ordered: bool = False
    max_deliveries: int = 5
    takeover_idle_s: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)
    shutdown_s: float = 20.0
    block_s: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError, with every problem."""
        problems = [
            text
            for wrong, text in (
                (self.concurrency < 1, "concurrency must be at least 1"),
                (self.batch < self.concurrency, "batch must be at least concurrency"),
                (self.max_deliveries < 1, "max_deliveries must be at least 1"),
                (self.takeover_idle_s < 0.1, "takeover_idle_s must be at least 0.1"),
                (self.shutdown_s < 0, "shutdown_s must not be negative"),
                (not 0.001 <= self.block_s <= 10, "block_s must be between 0.001 and 10"),
            )
            if wrong
        ]
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def beat_s(self) -> float:
        """Seconds between two signs of life for the messages in hand."""
        return self.takeover_idle_s / 3

    @property
    def look_s(self) -> float:
        """Seconds between two looks for messages to take over."""
        return min(self.takeover_idle_s / 2, 5.0)
