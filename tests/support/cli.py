"""Runs the operator's commands in this process, on a queue that tests fill."""

import json
from datetime import UTC, datetime
from typing import Any

from click.testing import CliRunner, Result

from listener.__main__ import main
from listener.messages.message import Message
from listener.queue.keys import Partition

ACCOUNT = "0242078689-00001"
OTHER = "0242078689-00002"
STREAM = Partition("fota", 0).messages
QUARANTINE = Partition("fota", 0).quarantine
DEAD = Partition("fota", 0).dead("billing")
HOSTILE = "\x1b[2J\x9b31m\u202e\u2028x"


def run(url: str, *words: str, answer: str | None = None, **environ: str) -> Result:
    """One command; what the machine's own environment says of the service does not count."""
    clean = {"SPOOL_DIR": "", "QUEUE_PARTITIONS": None, "COLUMNS": None, "FORCE_COLOR": None}
    runner = CliRunner(env={"REDIS_URL": url, **clean, **environ})
    return runner.invoke(main, words, input=answer, prog_name="python -m listener")


def listed(result: Result) -> list[dict[str, Any]]:
    """The lines of --json."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def payload(number: int, **members: Any) -> dict[str, Any]:
    return {
        "type": "upgradeFinished",
        "accountName": ACCOUNT,
        "upgradeFinished": {"upgradeId": f"u-{number}", "status": "UpgradeSuccess"},
        **members,
    }


def fields(content: dict[str, Any]) -> dict[Any, Any]:
    arrived = datetime(2026, 11, 23, 8, tzinfo=UTC)
    return {**Message.from_payload(content, arrived=arrived, request_id="r").fields()}


def add(client: Any, number: int, *, at: str = "*", partition: int = 0, **members: Any) -> str:
    """Adds a message; its entry id."""
    stream = Partition("fota", partition).messages
    return str(client.xadd(stream, fields(payload(number, **members)), id=at))


def read(client: Any, group: str, count: int = 100, consumer: str = "worker-1") -> list[str]:
    """Has a consumer read; the entry ids that it got."""
    found = client.xreadgroup(group, consumer, {STREAM: ">"}, count=count)
    return [entry_id for entry_id, _ in found[0][1]] if found else []


def bury(client: Any, entry_id: str, group: str = "billing", **told: str) -> str:
    """Gives up on an entry, as the consumer library does; the dead letter's id."""
    content = client.xrange(STREAM, entry_id, entry_id)[0][1]
    added = {
        "reason": "handler-failed",
        "error": "ValueError: no",
        "traceback": "Traceback (most recent call last):\nValueError: no\n",
        "deliveries": "5",
        "entry": entry_id,
        "consumer": "worker-1",
        "failed": "2026-11-23T09:00:00.000Z",
        **told,
    }
    letter = client.xadd(Partition("fota", 0).dead(group), {**content, **added})
    client.xack(STREAM, group, entry_id)
    return str(letter)
