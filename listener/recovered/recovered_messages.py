"""RecoveredMessages: puts a message that never came into the queue, made of ThingSpace's report, once."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

import redis

from listener.messages.message import Message
from listener.queue.keys import Partition
from listener.queue.redis_errors import unavailable
from listener.queue.writer import RedisWriter
from listener.recovered.facts import normalized_id
from listener.recovered.message_content import content_of, message_of
from listener.recovered.recovery_state import Report
from listener.recovered.stored_evidence import KEPT_S, recovered_field
from listener.redis_client.client import connect
from listener.redis_client.script import EvalScript, Script
from listener.settings.settings import Settings

# No sender waits for the answer.
BUDGET_S = 4.0
# Holds the content of a message from when it is decided until the message is queued.
CLAIMED_PREFIX = "content:"

_CLAIM = Script.load("listener.recovered", "claim.lua").text


class RecoveredMessages:
    """Puts recovered messages into the queue, by the same writer as those that came.

    Guaranteed: whichever replica and sweep puts a message of an account, upgrade, kind and device, it has
    the same content and so the same id; once it is queued, no further one is, for as long as the evidence of
    the upgrade is kept. After a crash between the two writes it may be queued a second time, with the same id,
    unless the index has read the first one or the de-duplication window still knows it.
    """

    def __init__(
        self, writer: RedisWriter, client: "redis.Redis", clock: Callable[[], float] = time.time
    ) -> None:
        """Connects to nothing yet; both are closed with it.

        Args:
            writer: of the queue.
            client: one that decodes responses.
            clock: seconds since 1970.
        """
        self._writer = writer
        self._client = client
        self._clock = clock
        self._claim = EvalScript(client, _CLAIM)

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """Writes to the queue of the settings; connects when it is first used."""
        client = connect(
            settings.queue.url, timeout_s=BUDGET_S, name="fota-recovered", decode_responses=True
        )
        return cls(RedisWriter(settings, budget_s=BUDGET_S), client)

    def close(self) -> None:
        """Closes the connections."""
        self._writer.close()
        self._client.close()

    def put(self, report: Report, kind: str) -> bool:
        """Puts one message, which is remembered by account, upgrade, kind and device.

        Args:
            report: what ThingSpace says.
            kind: of the message that never came; one that is about an upgrade.

        Returns:
            Whether it was queued now; False: it was before.

        Raises:
            listener.errors.QueueUnavailableError: Redis did not confirm it. A later call puts the same message.
        """
        message = self._message(content_of(report, kind))
        partition = self._writer.partition_of(message)
        try:
            claimed = self._content(partition, report, kind, message.data)
            if claimed is None:
                return False
            receipt = self._writer.put(self._message(json.loads(claimed)))
            self._remember(partition, report, kind, receipt.entry_id)
        except redis.RedisError as error:
            raise unavailable(error) from error
        return not receipt.duplicate

    def _message(self, content: dict[str, Any]) -> Message:
        return message_of(
            content,
            arrived=datetime.fromtimestamp(self._clock(), UTC),
            request_id=uuid4().hex,
        )

    def _content(self, partition: Partition, report: Report, kind: str, data: bytes) -> str | None:
        """The content to queue, which an earlier call may have decided; None: the message is queued."""
        fields = (_done(report, kind), _claimed(report, kind))
        reply: Any = self._claim([_key(partition, report)], [*fields, data, KEPT_S])
        return None if reply is None else str(reply)

    def _remember(self, partition: Partition, report: Report, kind: str, entry_id: str) -> None:
        key = _key(partition, report)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(key, _done(report, kind), entry_id)
            pipeline.hdel(key, _claimed(report, kind))
            pipeline.expire(key, KEPT_S)
            pipeline.execute()


def _key(partition: Partition, report: Report) -> str:
    return partition.evidence(report.account, normalized_id(report.upgrade_id))


def _done(report: Report, kind: str) -> str:
    return recovered_field(kind, report.device_id or "")


def _claimed(report: Report, kind: str) -> str:
    return f"{CLAIMED_PREFIX}{kind}:{report.device_id or ''}"
