"""The choices of a program: a consumer's options, the backoff between retries, and its observer."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from listener.safe_logger import SafeLogger

# Delayed and blocked messages included: reading on would only fill the memory.
MAX_BATCHES_IN_FLIGHT = 10

log = SafeLogger("listener.consumer")


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff from `base_s` up to `cap_s`, shortened at random by up to `jitter` of it.

    Args:
        base_s: seconds after the first failure.
        cap_s: seconds at most.
        jitter: between 0 (always the full time) and 1 (anything between nothing and the full time),
            so that what failed together is not retried together.
        chance: returns numbers from 0 to 1.

    Raises:
        ValueError: the times or the jitter make no sense.
    """

    base_s: float = 1.0
    cap_s: float = 60.0
    jitter: float = 0.5
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.base_s < 0 or self.cap_s < self.base_s:
            raise ValueError("a backoff needs 0 <= base_s <= cap_s")
        if not 0 <= self.jitter <= 1:
            raise ValueError("a backoff's jitter is a share between 0 and 1")

    def after(self, failures: int) -> float:
        """Seconds to wait after `failures` in a row, one or more."""
        # A float would overflow; beyond 2**60 nothing grows any more.
        full_s = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 60))
        return full_s * (1 - self.jitter * self.chance())


class ConsumerOptions(TypedDict, total=False):
    """The options as keyword arguments of `Consumer`: see `Options`."""

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
    """How a consumer works. See `docs/consumer.md` for what to choose.

    Args:
        batch: how many messages are in flight at most: read, and neither acknowledged nor waiting
            for a retry. In a Cluster: for each partition.
        concurrency: how many handlers run at once, each in a thread.
        ordered: messages with the same subject are handled one after the other, in their order.
        max_deliveries: a message is dead-lettered after this many deliveries to a handler.
        takeover_idle_s: a consumer that was silent for this many seconds counts as dead, and others
            take its messages over.
        backoff: how long a message waits after a failure.
        shutdown_s: how many seconds the messages in flight get when the consumer stops.
        block_s: how many seconds one read waits for a message; stopping may take as long.

    Raises:
        ValueError: names every option that is out of bounds.
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
    def renew_every_s(self) -> float:
        """Seconds between two renewals of what is in flight."""
        return self.takeover_idle_s / 3

    @property
    def claim_every_s(self) -> float:
        """Seconds between two searches for messages to take over."""
        return min(self.takeover_idle_s / 2, 5.0)


class Observer:
    """Is called when something happens, for metrics. Does nothing: override the methods that you want.

    The methods are called by the consumer's threads, several at once, and never under a lock. They
    should return soon. What they raise is logged and changes nothing.
    """

    def received(self, messages: int, partition: int) -> None:
        """Messages came from the stream, for the first time for this group."""

    def taken_over(self, messages: int, partition: int) -> None:
        """Messages came from consumers that died, were handed back, or requeued."""

    def handled(self, kind: str, seconds: float) -> None:
        """A handler returned after `seconds`; `acknowledging` follows, unless the consumer stops or dies before."""

    def acknowledging(self, messages: int) -> None:
        """Messages that are done are acknowledged next, all at once. If that fails, it is tried again without this."""

    def failed(self, kind: str, error: BaseException) -> None:
        """A handler raised; `retried` or `buried` follows."""

    def retried(self, kind: str, delay_s: float) -> None:
        """A message whose handler raised will be handled again in `delay_s` seconds."""

    def buried(self, kind: str, reason: str) -> None:
        """A message went to the dead stream: `handler-failed`, `timed-out`, `rejected`, `crashed` or `malformed`."""

    def lost(self, messages: int) -> None:
        """Messages were in flight and belong to another consumer now."""


class SafeObserver(Observer):
    """Calls other observers, and logs what they raise."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def received(self, messages: int, partition: int) -> None:
        self._call("received", messages, partition)

    def taken_over(self, messages: int, partition: int) -> None:
        self._call("taken_over", messages, partition)

    def handled(self, kind: str, seconds: float) -> None:
        # Not by `_call`, which takes twice as long: every message comes here.
        for observer in self._observers:
            try:
                observer.handled(kind, seconds)
            except BaseException:
                log.exception("the observer failed", method="handled")

    def acknowledging(self, messages: int) -> None:
        self._call("acknowledging", messages)

    def failed(self, kind: str, error: BaseException) -> None:
        self._call("failed", kind, error)

    def retried(self, kind: str, delay_s: float) -> None:
        self._call("retried", kind, delay_s)

    def buried(self, kind: str, reason: str) -> None:
        self._call("buried", kind, reason)

    def lost(self, messages: int) -> None:
        self._call("lost", messages)

    def _call(self, method: str, *args: object) -> None:
        for observer in self._observers:
            try:
                getattr(observer, method)(*args)
            except BaseException:
                log.exception("the observer failed", method=method)
