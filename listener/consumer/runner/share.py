"""What one of several processes does: its name in the group, and its partitions. Pure."""

from listener.consumer.consumer import Consumer
from listener.consumer.runner.target import TargetError


def take_share(consumer: Consumer, number: int, processes: int) -> None:
    """Makes it the consumer of one of several processes, which share the messages of one group.

    A name gets the process's number, because two that run at once must not share one. The partitions of
    a consumer that keeps order are divided: two processes would mix the messages of one upgrade.

    Args:
        consumer: was not run yet.
        number: of the process, from 1.
        processes: how many there are.

    Raises:
        TargetError: a consumer that keeps order has fewer partitions than there are processes.
    """
    if processes == 1:
        return
    if consumer.name is not None:
        consumer.name = f"{consumer.name}-{number}"
    if consumer.options.ordered:
        partitions = sorted(consumer.only)
        if len(partitions) < processes:
            raise TargetError(
                f"a consumer with ordered=True reads each partition in one process: --processes may be "
                f"{len(partitions)} at most, or QUEUE_PARTITIONS must be larger"
            )
        consumer.only = partitions[number - 1 :: processes]
