"""Messages for consumers, as the listener would have kept them, and consumers as programs.

It imports none of our packages, so that system tests can use it.
"""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

from testbed.process import ROOT, ChildProcess

STREAM = "{fota:0}:messages"
ACCOUNT = "0242078689-00001"


def fields(number: int, *, upgrade: str | None = None, **changed: Any) -> dict[str, Any]:
    """The fields of the entry of a message `upgrade-finished` whose reason is its number."""
    upgrade_id = upgrade or f"u-{number}"
    data = {
        "accountName": ACCOUNT,
        "type": "upgradeFinished",
        "upgradeFinished": {
            "upgradeId": upgrade_id,
            "deviceId": "990013907835573",
            "status": "UpgradeSuccess",
            "reason": str(number),
        },
    }
    text = json.dumps(data, separators=(",", ":"))
    return {
        "specversion": "1.0",
        "id": hashlib.sha256(text.encode()).hexdigest()[:32],
        "source": f"/thingspace/fota/{ACCOUNT}",
        "type": "com.verizon.thingspace.fota.upgradeFinished",
        "subject": upgrade_id,
        "time": "2026-11-23T08:00:00.000000Z",
        "datacontenttype": "application/json",
        "data": text,
        "kind": "upgrade-finished",
        "account": ACCOUNT,
        "requestid": f"r-{number}",
        **changed,
    }


def feed(client: Any, numbers: Iterable[int], *, stream: str = STREAM, **changed: Any) -> list[str]:
    """Adds messages to a stream; their entry ids."""
    with client.pipeline(transaction=False) as pipeline:
        for number in numbers:
            pipeline.xadd(stream, fields(number, **changed))
        return [str(entry_id) for entry_id in pipeline.execute()]


class Program(ChildProcess):
    """A Python program that consumes, in a process of its own.

    Args:
        source: the text of the program.
        settings: its environment, besides the PATH.
    """

    def __init__(self, source: str, **settings: str) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        super().__init__(sys.executable, "-c", source, environ=environ)

    def lines_after(self, mark: str) -> list[str]:
        """What it wrote between a mark and the end of a line, by one call for each.

        The mark may stand within a line: a log line's text and its end are two writes.
        """
        return re.findall(rf"{mark} (.*)", self.log())
