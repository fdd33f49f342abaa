"""Claims what stale consumers left, renews what is in flight, and deletes unused consumer names."""

import time
from collections import defaultdict

import redis

from listener.consumer.claims import Claimed, Claims
from listener.consumer.deliveries.delivery import Delivery
from listener.consumer.handlers.loop_watch import LoopWatch
from listener.consumer.outages import BackingOffError
from listener.consumer.redis_group import is_missing
from listener.consumer.run_context import RunContext
from listener.inspection.consumer_groups import HANDED_BACK
from listener.redis_client.client import reset_connections
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")

DELETE_UNUSED_EVERY_S = 3600.0
# The interval while there is more to take over than could be claimed at once.
CLAIM_AGAIN_S = 0.2
# A renewal that failed is repeated this much sooner, before others may take the messages over.
RENEWALS_AFTER_FAILURE = 4


class Maintenance:
    """One thread's task."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._loop_watch = LoopWatch(run.event_loop)
        now = time.monotonic()
        self._next_renewal = now + run.options.renew_every_s
        self._next_claim = now
        self._next_deletion = now

    def step(self) -> None:
        """Does what is due, and waits for what is due next."""
        now, options = time.monotonic(), self._run.options
        self._report_overdue()
        self._loop_watch.check()
        if now >= self._next_renewal:
            divisor = 1 if self._renew(now) else RENEWALS_AFTER_FAILURE
            self._next_renewal = now + options.renew_every_s / divisor
        if not self._run.stopping.is_set():
            if now >= self._next_claim:
                results = [self._claim(number) for number in self._run.claims]
                self._next_claim = now + (options.claim_every_s if all(results) else CLAIM_AGAIN_S)
            if now >= self._next_deletion:
                self._delete_unused_consumers()
                self._next_deletion = now + DELETE_UNUSED_EVERY_S
        due = min(self._next_renewal, self._next_claim, self._next_deletion)
        # At most 0.5 s, to notice that the consumer stops.
        self._run.ended.wait(min(max(due - time.monotonic(), 0.01), 0.5))

    def _report_overdue(self) -> None:
        for each in self._run.running.newly_overdue():
            log.error(
                "handler overdue: it has not returned within its timeout_s",
                handler=each.handler,
                kind=each.kind,
                entry=each.entry_id,
                partition=each.partition,
                timeout_s=each.timeout_s,
            )

    def _renew(self, now: float) -> bool:
        """Renews what was not confirmed for a while; whether no partition failed."""
        due: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in self._run.in_flight.snapshot():
            age_s = now - delivery.confirmed_at
            if not delivery.is_lost and age_s >= self._run.options.renew_every_s:
                due[delivery.partition].append(delivery)
        # All partitions are renewed, also those after one that failed.
        results = [self._renew_partition(number, group) for number, group in due.items()]
        return all(results)

    def _renew_partition(self, number: int, deliveries: list[Delivery]) -> bool:
        try:
            with self._run.outages.attempt("renew", number):
                lost = self._run.groups[number].renew(deliveries)
        except BackingOffError:
            return False
        except redis.RedisError as error:
            return self._record_failure("renew", number, error)
        self._run.outages.end("renew", [number])
        # A message that is being acknowledged at this moment is not lost.
        unfinished = {delivery.key for delivery in lost if not delivery.is_done}
        if count := len(unfinished & self._run.in_flight.keys()):
            log.warning("messages in hand belong to another consumer now", messages=count)
        return True

    def _claim(self, number: int) -> bool:
        """Takes over what dead consumers left; whether that was all, or nothing can be done."""
        try:
            with self._run.outages.attempt("claim", number):
                is_all = claim_abandoned(self._run, number)
        except BackingOffError:
            return True
        except redis.RedisError as error:
            reset_connections(self._run.read_client)
            self._record_failure("claim", number, error)
            return True
        self._run.outages.end("claim", [number])
        return is_all

    def _delete_unused_consumers(self) -> None:
        for number, group in self._run.groups.items():
            try:
                names = group.delete_unused_consumers()
            except redis.RedisError as error:
                self._record_failure("delete consumers", number, error)
                continue
            self._run.outages.end("delete consumers", [number])
            if names:
                log.info("unused consumer names deleted", partition=number, consumers=names)

    def _record_failure(self, activity: str, number: int, error: "redis.RedisError") -> bool:
        """Returns whether the error is none: the reader creates a group that is missing."""
        if is_missing(error):
            return True
        self._run.outages.begin(activity, [number], error)
        reset_connections(self._run.client)
        return False


def claim_abandoned(run: RunContext, number: int) -> bool:
    """Claims what was idle for `takeover_idle_s`, whichever consumer held it, as far as there is room.

    Returns:
        Whether that was all.

    Raises:
        redis.RedisError: the partition is unsettled: see `Claims`.
    """
    claims = run.claims[number]
    with claims.exclusive():
        for claimed in claims.claim_stuck(run.in_flight.claim_limit(number)):
            log.warning(
                "messages were delivered at a time that is yet to come; redis's clock was wrong",
                partition=number,
                messages=len(claimed.deliveries),
            )
            _add(run, number, claimed)
        is_all, _ = _claim_all(run, claims, run.options.takeover_idle_s)
        return is_all


def reclaim_own(run: RunContext, number: int) -> tuple[bool, int]:
    """Claims what is pending for this consumer's own name, and what was handed back.

    The former was held by a killed process of the same name, or came on a connection that broke. If
    that was all, the partition is settled: see `Claims`.

    Returns:
        Whether that was all, and how many messages it brought.

    Raises:
        redis.RedisError: the partition is unsettled.
    """
    claims = run.claims[number]
    with claims.exclusive():
        is_own_all, own = _claim_all(run, claims, 0, run.consumer)
        is_released_all, released = _claim_all(run, claims, 0, HANDED_BACK)
        claims.is_settled = is_own_all and is_released_all
        return claims.is_settled, own + released


def _claim_all(
    run: RunContext, claims: Claims, idle_s: float, holder: str = ""
) -> tuple[bool, int]:
    """Claims until there is no more, or no more room; whether that was all, and how many came."""
    limit, count = run.in_flight.claim_limit(claims.partition), 0
    while limit > 0 and not run.stopping.is_set():
        claimed = claims.claim_idle(idle_s, limit, run.in_flight.keys(), holder)
        count += _add(run, claims.partition, claimed)
        if not claimed.is_cut:
            return claimed.is_all, count
        limit -= len(claimed.deliveries)
    return False, count


def _add(run: RunContext, number: int, claimed: Claimed) -> int:
    if claimed.gone:
        log.warning(
            "messages are gone: their entries were deleted from the stream",
            partition=number,
            messages=len(claimed.gone),
            entries=claimed.gone[:10],
        )
    if count := run.in_flight.add(claimed.deliveries):
        holders = claimed.holders
        log.info("took messages over", partition=number, messages=count, held_by=holders)
        run.observer.taken_over(count, number)
    return count
