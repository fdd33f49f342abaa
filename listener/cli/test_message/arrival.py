"""Looks where a message came that the service says is kept: in the queue, or in this host's spool."""

import sqlite3
import time
from dataclasses import dataclass

from listener.cli.queue_access import TIMEOUT_S
from listener.inspection.consumer_groups import group_infos
from listener.inspection.entries import find_entry_id
from listener.inspection.queue_view import QueueView, RedisFailedError, decoding_client
from listener.settings.settings import Settings
from listener.spool.contents import read_messages

POLL_S = 0.1


@dataclass(frozen=True)
class Arrival:
    """Where a message is.

    Attributes:
        entry_id: in the queue; empty if it is not there.
        partition: that entry's.
        groups: those that get it.
        spool: its state in this host's spool; empty if it is not there.
        problem: why Redis could not be asked, in a sentence.
    """

    entry_id: str = ""
    partition: int = 0
    groups: tuple[str, ...] = ()
    spool: str = ""
    problem: str = ""


def locate(settings: Settings, message_id: str, wait_s: float) -> Arrival:
    """Looks for a message in the queue, then in this host's spool, and then in the queue for some seconds."""
    deadline = time.monotonic() + wait_s
    try:
        with decoding_client(settings.queue, timeout_s=TIMEOUT_S, name="fota-cli") as client:
            queue = QueueView(settings.queue, client)
            if found := _in_queue(queue, message_id):
                return found
            # It would have been there before the answer.
            if state := _in_spool(settings, message_id):
                return Arrival(spool=state)
            while time.monotonic() < deadline:
                time.sleep(POLL_S)
                if found := _in_queue(queue, message_id):
                    return found
    except RedisFailedError as error:
        return Arrival(spool=_in_spool(settings, message_id), problem=str(error))
    return Arrival()


def _in_queue(queue: QueueView, message_id: str) -> Arrival | None:
    for partition in queue.partitions:
        # The service remembers it by its fingerprint, whatever the entry's id is.
        if entry_id := find_entry_id(queue.client, partition, message_id):
            groups = tuple(str(info["name"]) for info in group_infos(queue.client, partition))
            return Arrival(entry_id, partition.number, groups)
    return None


def _in_spool(settings: Settings, message_id: str) -> str:
    folder = settings.spool.folder
    if folder is None:
        return ""
    try:
        states = (it.state for it in read_messages(folder) if it.message.id == message_id)
        return next(states, "")
    except (OSError, sqlite3.Error):
        # Another user's journal, or a host without a service: then it is not known to be there.
        return ""
