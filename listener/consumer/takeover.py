"""Takes in hand what others left, and what this consumer was given without its knowing."""

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
    with context.claims.one_at_a_time(group.partition):
        _seize(context, group, frozen)
        return _take(context, group, context.options.takeover_idle_s, holder="")


def take_back(context: Context, group: Group) -> bool:
    """Takes what is pending for this consumer's own name, and what was handed back.

    The first is what the process of the same name had before it was killed, or came on a connection
    that broke. Returns and raises the same as `take_over`; the partition is settled if that was all.
    """
    with context.claims.one_at_a_time(group.partition):
        back = [_take(context, group, 0, holder) for holder in (context.consumer, HANDED_BACK)]
        if all(back):
            context.claims.settle(group.partition)
        return all(back)


def _seize(context: Context, group: Group, frozen: Frozen) -> None:
    """Takes what a consumer left while Redis's clock was ahead."""
    holders = group.just_touched(MOST_LOOKED_AT)
    still = frozen.note(group.partition, holders)
    still = still[: min(context.desk.allowance(group.partition), context.portion.size)]
    for holder in {holders[entry_id] for entry_id in still}:
        taken = group.seize([one for one in still if holders[one] == holder], holder)
        log.warning(
            "messages were delivered at a time that is yet to come; redis's clock was wrong",
            partition=group.partition,
            messages=len(taken.deliveries),
        )
        _accept(context, group.partition, taken)


def _take(context: Context, group: Group, idle_s: float, holder: str) -> bool:
    limit = min(context.desk.allowance(group.partition), context.portion.size)
    if not limit:
        return False
    in_hand = {delivery.key for delivery in context.desk.in_hand()}
    taken = group.take(idle_s, limit, in_hand, holder)
    if len(taken.deliveries) >= limit:
        context.portion.grow()
    _accept(context, group.partition, taken)
    return taken.is_all


def _accept(context: Context, partition: int, taken: Taken) -> None:
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
