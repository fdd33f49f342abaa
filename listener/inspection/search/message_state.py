"""Reads what each consumer group did with one message, and which messages stand beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import redis

from listener import entry_ids
from listener.inspection.consumer_groups import PSEUDO_CONSUMERS, group_infos, pending_idle_ms
from listener.inspection.pages import IDS_ONLY, Projection, pages
from listener.queue.keys import Partition

State = Literal[
    "acknowledged",
    "pending",
    "given back",
    "dead",
    "not read yet",
    "acknowledged, or an older dead letter",
]

# Dead letters of one group that are searched for a message, the newest first.
MAX_LETTERS = 5_000
MAX_LETTER_BYTES = 16 * 2**20
LETTER = Projection(("entry", "reason", "error"), max_value_bytes=1000)


@dataclass(frozen=True)
class GroupState:
    """What one group did with a message.

    Attributes:
        group: its name.
        state: `acknowledged, or an older dead letter`: not all dead letters of the group were searched.
            `given back`: it waits for the next consumer that takes over. `acknowledged` is what is
            behind the group's cursor and none of the others: a cursor that was moved skipped it, perhaps.
        consumer: who has it, if it is pending.
        idle_ms: since when it was not delivered or claimed, if it is pending or given back.
        deliveries: how often it was delivered, if it is pending.
        letter: the id of its dead letter; `reason` and `error` stand in it.
    """

    group: str
    state: State
    consumer: str = ""
    idle_ms: int | None = None
    deliveries: int | None = None
    letter: str = ""
    reason: str = ""
    error: str = ""


def group_states(client: "redis.Redis", partition: Partition, entry_id: str) -> list[GroupState]:
    """What each group did with a message, by the groups' names.

    Of a group's dead letters the newest `MAX_LETTERS` are searched. Raises redis.RedisError.
    """
    infos = sorted(group_infos(client, partition), key=lambda info: str(info["name"]))
    with client.pipeline(transaction=False) as pipeline:
        for info in infos:
            pipeline.xpending_range(partition.messages, info["name"], entry_id, entry_id, 1)
        replies: Sequence[Any] = pipeline.execute() if infos else ()
    return [
        _state(client, partition, entry_id, info, rows)
        for info, rows in zip(infos, replies, strict=True)
    ]


def neighbours(
    client: "redis.Redis", partition: Partition, entry_id: str
) -> tuple[str | None, str | None]:
    """The ids of the entries before and after an entry, in its partition. Raises redis.RedisError."""

    def first(start: str, stop: str, *, newest_first: bool) -> str | None:
        one = replace(IDS_ONLY, max_entries=1)
        found = pages(
            client, partition.messages, start, stop, projection=one, newest_first=newest_first
        )
        page = next(found, None)
        return page.entries[0].entry_id if page else None

    is_first, is_last = entry_id == entry_ids.FIRST, entry_id == entry_ids.LAST
    before = None if is_first else first(f"({entry_id}", "-", newest_first=True)
    after = None if is_last else first(f"({entry_id}", "+", newest_first=False)
    return before, after


def _state(
    client: "redis.Redis",
    partition: Partition,
    entry_id: str,
    info: dict[str, Any],
    pending: Sequence[dict[str, Any]],
) -> GroupState:
    group = str(info["name"])
    if pending:
        row = pending[0]
        is_given_back = row["consumer"] in PSEUDO_CONSUMERS
        return GroupState(
            group,
            "given back" if is_given_back else "pending",
            consumer="" if is_given_back else row["consumer"],
            idle_ms=pending_idle_ms(row),
            deliveries=row["times_delivered"],
        )
    state = _dead_letter(client, partition, group, entry_id)
    if state.letter:
        return state
    is_read = entry_ids.parse(entry_id) <= entry_ids.parse(str(info["last-delivered-id"]))
    return state if is_read else GroupState(group, "not read yet")


def _dead_letter(
    client: "redis.Redis", partition: Partition, group: str, entry_id: str
) -> GroupState:
    """What became of a message that the group has read and that is not pending: dead or not, or not known."""
    read = size = 0
    for page in pages(
        client, partition.dead(group), "+", "-", projection=LETTER, newest_first=True
    ):
        for entry in page.entries:
            fields = entry.fields
            if fields.get("entry") == entry_id:
                reason, error = fields.get("reason", ""), fields.get("error", "")
                return GroupState(group, "dead", letter=entry.entry_id, reason=reason, error=error)
        read, size = read + len(page.entries), size + page.bytes
        if read >= MAX_LETTERS or size >= MAX_LETTER_BYTES:
            if client.xlen(partition.dead(group)) > read:
                return GroupState(group, "acknowledged, or an older dead letter")
            break
    return GroupState(group, "acknowledged")
