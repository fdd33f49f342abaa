"""Takes in hand what others left, and what this consumer was given without its knowing."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from listener.consumer.context import Context
from listener.consumer.frozen import Frozen
from listener.consumer.group import Group, Taken
from listener.consumer.log import log
from listener.inspection.consumer_groups import HANDED_BACK

# The oldest pending messages of a partition: among them is what was left long ago.
MOST_LOOKED_AT = 500


def take_over(context: Context, group: Group, frozen: Frozen) -> bool:
    """Takes what was idle for too long, whoever held it, as far as there is room.

    Args:
        context: what the threads share.
        group: of one partition.
        frozen: remembers whose idle time stands still; that is taken as well.

    Returns:
        Whether that was all.

    Raises:
        redis.RedisError: as each method of the group.
    """
    with _claim(context, group.partition):
        _seize(context, group, frozen)
        is_all, _ = _take(context, group, context.options.takeover_idle_s, holder="")
        return is_all


def take_back(context: Context, group: Group) -> tuple[bool, int]:
    """Takes what is pending for this consumer's own name, and what was handed back.

    The first is what the process of the same name had before it was killed, or came on a connection
    that broke. If that was all, the partition is settled.

    Returns:
        Whether that was all, and how many messages it brought.

    Raises:
        redis.RedisError: as each method of the group.
    """
    with _claim(context, group.partition):
        own, own_count = _take(context, group, 0, context.consumer)
        others, others_count = _take(context, group, 0, HANDED_BACK)
        if own and others:
            context.claims.settle(group.partition)
        return own and others, own_count + others_count


@contextmanager
def _claim(context: Context, partition: int) -> Iterator[None]:
    with context.claims.one_at_a_time(partition):
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError):
            context.budget.shrink()
            raise


def _seize(context: Context, group: Group, frozen: Frozen) -> None:
    """Takes what a consumer left while Redis's clock was ahead."""
    holders = group.just_touched(MOST_LOOKED_AT)
    still = frozen.note(group.partition, holders)
    still = still[: context.desk.allowance(group.partition)]
    for holder in {holders[entry_id] for entry_id in still}:
        found = [one for one in still if holders[one] == holder]
        taken = group.seize(found, holder, context.budget.size)
        log.warning(
            "messages were delivered at a time that is yet to come; redis's clock was wrong",
            partition=group.partition,
            messages=len(taken.deliveries),
        )
        _accept(context, group.partition, taken)


def _take(context: Context, group: Group, idle_s: float, holder: str) -> tuple[bool, int]:
    limit, count = context.desk.allowance(group.partition), 0
    while limit > 0 and not context.stopping.is_set():
        in_hand = {delivery.key for delivery in context.desk.in_hand()}
        taken = group.take(idle_s, limit, in_hand, holder, context.budget.size)
        count += _accept(context, group.partition, taken)
        if not taken.is_cut:
            return taken.is_all, count
        context.budget.grow()
        limit -= len(taken.deliveries)
    return False, count


def _accept(context: Context, partition: int, taken: Taken) -> int:
    if taken.gone:
        log.warning(
            "messages are gone: their entries were deleted from the stream",
            partition=partition,
            messages=len(taken.gone),
            entries=taken.gone[:10],
        )
    if count := context.desk.put(taken.deliveries):
        holders = taken.holders
        log.info("took messages over", partition=partition, messages=count, held_by=holders)
        context.observer.taken_over(count, partition)
    return count
