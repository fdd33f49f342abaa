"""Messages for consumers, as the listener would have kept them, and consumers as programs.

It imports none of our packages, so that system tests can use it.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from testbed.polling import DEADLINE_S

ROOT = Path(__file__).parents[2]
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


class Program:
    """A Python program that consumes, in a process of its own; a context manager that leaves nothing.

    Args:
        source: the text of the program.
        settings: its environment, besides the PATH.

    Attributes:
        stderr: set before the start, a file descriptor for its standard error in place of its output.
    """

    stderr: int | None = None

    def __init__(self, source: str, **settings: str) -> None:
        self._source = source
        self._settings = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **settings,
        }
        self._folder = tempfile.TemporaryDirectory(prefix="fota-")
        self._output = Path(self._folder.name) / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Starts it, or starts it again; the output goes on."""
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self._source],
                env=self._settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if self.stderr is None else self.stderr,
                start_new_session=True,
            )

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Waits for its end; its exit status."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def output(self) -> str:
        return self._output.read_text()

    def lines_after(self, mark: str) -> list[str]:
        """What it wrote between a mark and the end of a line, by one call for each.

        The mark may stand within a line: a log line's text and its end are two writes.
        """
        return re.findall(rf"{mark} (.*)", self.output())
