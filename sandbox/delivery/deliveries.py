"""Deliveries: a message's attempts, when the next one is due, and the result: pure state."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any, Literal, TypeAlias, get_args

from sandbox.provider_facts import Version

Kind: TypeAlias = Literal["first", "retry", "duplicate"]
Result: TypeAlias = Literal["pending", "acknowledged", "lost", "unregistered", "dropped"]
RESULTS: tuple[Result, ...] = get_args(Result)

# A message is sent twice at most, whether because it was refused or because the answer took too
# long [seen]. What a refusal after a second sending would lead to is [?].
MAX_ATTEMPTS = 2
# A delivery takes about a kilobyte. Of more than so many the oldest are only counted.
MAX_KEPT = 100_000
FORGOTTEN_AT_ONCE = 10_000


@dataclass
class Attempt:
    """One sending; `status` or `error` once it has ended. Times are seconds since the epoch."""

    kind: Kind
    started: float
    ended: float | None = None
    status: int | None = None
    error: str | None = None

    @property
    def acknowledged(self) -> bool:
        """Any 2xx acknowledges. [doc]"""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Due:
    """The next sending, and when it is due."""

    kind: Kind
    at: float


def next_attempt(
    attempts: Sequence[Attempt], *, now: float, retry_after_s: float, duplicate_after_s: float
) -> Due | None:
    """The provider's next attempt, as far as it is known [seen]; None: it gives up or has succeeded.

    Args:
        attempts: those until now, oldest first.
        now: the time.
        retry_after_s: from a refusal to the one retry.
        duplicate_after_s: from the first sending, unanswered, until the second.
    """
    if not attempts:
        return Due("first", now)
    first = attempts[0]
    if first.acknowledged or len(attempts) >= MAX_ATTEMPTS:
        return None
    if first.ended is None:
        return Due("duplicate", first.started + duplicate_after_s)
    return Due("retry", first.ended + retry_after_s)


@dataclass
class Delivery:
    """A message on its way to one target.

    Attributes:
        id: 1, 2, 3, … in the order in which the messages were given.
        url: the target without a login; None: there was none, because nothing was registered or it was dropped.
        upgrade: the id of the upgrade that the message is about, if a campaign of the sandbox sent it.
        dropped: it was lost on purpose, and never sent.
    """

    id: int
    account: str
    version: Version | None
    url: str | None
    type: str | None
    created: float
    attempts: list[Attempt] = field(default_factory=list)
    upgrade: str | None = None
    dropped: bool = False

    @property
    def result(self) -> Result:
        """Acknowledged as soon as one sending is, even while another is under way."""
        if self.url is None:
            return "dropped" if self.dropped else "unregistered"
        if any(attempt.acknowledged for attempt in self.attempts):
            return "acknowledged"
        tried = len(self.attempts) >= MAX_ATTEMPTS
        return "lost" if tried and all(each.ended for each in self.attempts) else "pending"


class Deliveries:
    """The deliveries, of which the newest hundred thousand or so are kept; all are counted. Every method is atomic."""

    def __init__(self, *, clock: Callable[[], float], max_kept: int = MAX_KEPT) -> None:
        self._clock = clock
        self._max_kept = max_kept
        self._mutex = threading.Lock()
        self._kept: list[Delivery] = []
        self._forgotten: Counter[Result] = Counter()

    def add(
        self,
        account: str,
        version: Version | None,
        url: str | None,
        message_type: str | None,
        upgrade_id: str | None = None,
        *,
        dropped: bool = False,
    ) -> Delivery:
        with self._mutex:
            self._forget()
            number = self._first_id() + len(self._kept)
            delivery = Delivery(number, account, version, url, message_type, self._clock())
            delivery.upgrade, delivery.dropped = upgrade_id, dropped
            self._kept.append(delivery)
            return delivery

    def begin(self, delivery: Delivery, kind: Kind) -> Attempt:
        with self._mutex:
            attempt = Attempt(kind, self._clock())
            delivery.attempts.append(attempt)
            return attempt

    def end(self, attempt: Attempt, *, status: int | None = None, error: str | None = None) -> None:
        with self._mutex:
            attempt.status, attempt.error = status, error
            attempt.ended = self._clock()

    def due(
        self, delivery: Delivery, *, retry_after_s: float, duplicate_after_s: float
    ) -> Due | None:
        """See `next_attempt`."""
        with self._mutex:
            return next_attempt(
                delivery.attempts,
                now=self._clock(),
                retry_after_s=retry_after_s,
                duplicate_after_s=duplicate_after_s,
            )

    def get(self, number: int) -> dict[str, Any] | None:
        """A delivery by its id; None: there is none, or it is only counted any more."""
        with self._mutex:
            index = number - self._first_id()
            return _as_json(self._kept[index]) if 0 <= index < len(self._kept) else None

    def listing(
        self, after: int = 0, result: str | None = None, upgrade_id: str | None = None
    ) -> list[dict[str, Any]]:
        """Those with an id above `after` and, if given, this result and upgrade; in the order of their ids."""
        with self._mutex:
            chosen = self._kept[max(0, after + 1 - self._first_id()) :]
            return [
                _as_json(each)
                for each in chosen
                if result in {None, each.result} and upgrade_id in {None, each.upgrade}
            ]

    def counts(self) -> dict[str, int]:
        """How many ended how, those that are not kept any more included."""
        with self._mutex:
            counts = self._forgotten + Counter(delivery.result for delivery in self._kept)
        return {result: counts[result] for result in RESULTS}

    def _first_id(self) -> int:
        return self._forgotten.total() + 1

    def _forget(self) -> None:
        """Makes room if need be. Nothing is forgotten while the oldest one is pending."""
        if len(self._kept) < self._max_kept + FORGOTTEN_AT_ONCE:
            return
        old = list(takewhile(_settled, self._kept[:FORGOTTEN_AT_ONCE]))
        self._forgotten.update(delivery.result for delivery in old)
        del self._kept[: len(old)]


def _settled(delivery: Delivery) -> bool:
    return delivery.result != "pending"


def _as_json(delivery: Delivery) -> dict[str, Any]:
    members = asdict(delivery)
    del members["dropped"]
    return {**members, "result": delivery.result}
