"""The connection of the commands that look at the queue, and the groups that they look at."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from listener.cli.common import read_settings
from listener.inspection.consumer_groups import group_names
from listener.inspection.pages import stream_info
from listener.inspection.queue_view import QueueView, RedisFailedError, decoding_client
from listener.queue.keys import Partition
from listener.settings.queue_settings import QueueSettings
from listener.text import clean

TIMEOUT_S = 5.0


@contextmanager
def open_queue() -> Iterator[QueueView]:
    """The queue that the environment names.

    Raises:
        ClickException: Redis failed; one sentence, without secrets.
    """
    settings = read_settings(QueueSettings.from_env)
    try:
        with decoding_client(settings, timeout_s=TIMEOUT_S, name="fota-cli") as client:
            yield QueueView(settings, client)
    except RedisFailedError as error:
        raise click.ClickException(str(error)) from None


def no_stream(queue: QueueView) -> str:
    """A sentence if no partition has a stream yet; else an empty text. Raises redis.RedisError.

    It names the namespace, since another one than the service's is empty as well.
    """
    if any(stream_info(queue.client, partition.messages) for partition in queue.partitions):
        return ""
    return no_stream_in(queue.settings.namespace)


def no_stream_in(namespace: str) -> str:
    """The sentence itself."""
    return (
        f"There is no stream yet in the namespace {clean(namespace)}: nothing was received, and no "
        "consumer group was made."
    )


def warn_no_stream(queue: QueueView) -> None:
    """Says on standard error that there is no stream yet. Raises redis.RedisError."""
    if sentence := no_stream(queue):
        click.echo(sentence, err=True)


def warn_no_group(queue: QueueView) -> None:
    """Says on standard error that there is no group, or not even a stream. Raises redis.RedisError."""
    click.echo(no_stream(queue) or "There is no consumer group: nobody reads the queue.", err=True)


def chosen_partitions(queue: QueueView, number: int | None) -> Sequence[Partition]:
    """The partition that `--partition` names, or all. Raises BadParameter if there is none of this number."""
    partitions = queue.partitions
    if number is None:
        return partitions
    if number >= len(partitions):
        raise click.BadParameter(
            f"there are {len(partitions)}, from 0 on", param_hint="--partition"
        )
    return [partitions[number]]


def check_one_partition(places: Sequence[Partition], what: str) -> None:
    """Raises UsageError if several partitions have what was named."""
    if len(places) > 1:
        numbers = ", ".join(str(place.number) for place in places)
        raise click.UsageError(f"the partitions {numbers} have {what}: add --partition")


def resolve_groups(queue: QueueView, wanted: str | None) -> list[str]:
    """The wanted group, or all groups.

    Raises:
        UsageError: the wanted one does not exist; names those that do.
        redis.RedisError: Redis did not answer.
    """
    groups = group_names(queue.client, queue.partitions)
    if wanted is None:
        return groups
    if wanted not in groups:
        existing = f"there are: {', '.join(groups)}" if groups else "there is none yet"
        if sentence := no_stream(queue):
            existing = f"{sentence[0].lower()}{sentence[1:-1]}"
        raise click.UsageError(clean(f"no consumer group is named {wanted!r}; {existing}"))
    return [wanted]
