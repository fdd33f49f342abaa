"""Alarms: what must report a fault while it lasts, /readyz or `check`, and a thread that watches for it."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import requests

from testbed.process import ROOT
from testbed.service import Service

READYZ_EVERY_S = 0.2
# A run of `check` takes most of a second of a core, which the load needs as well.
CHECK_EVERY_S = 1.5
CHECK_TIMEOUT_S = 30.0

Source = Literal["readyz", "check"]


@dataclass(frozen=True)
class Alarm:
    """A fault must be reported.

    Attributes:
        source: `readyz`: status and body of /readyz. `check`: errors and warnings of
            `python -m listener check`.
        pattern: a regular expression that must match the source at least once while the fault lasts.
        after_s: a shorter fault need not be reported.
    """

    source: Source
    pattern: str
    after_s: float = 0.0


@dataclass(frozen=True)
class Exempt:
    """A fault that nothing needs to report, and why."""

    reason: str


SPOOLS = Alarm("readyz", r'^200 .*"spool"', 3.0)
REFUSES = Alarm("readyz", r"^503 ")


class AlarmWatcher:
    """Polls an alarm's source in a thread of its own.

    Attributes:
        matched: whether the alarm's pattern has matched.
    """

    def __init__(self, alarm: Alarm, service: Service) -> None:
        self._alarm = alarm
        self._service = service
        self._stop = threading.Event()
        self._pattern = re.compile(alarm.pattern, re.MULTILINE | re.IGNORECASE)
        self.matched = False

    @contextmanager
    def watching(self) -> Iterator["AlarmWatcher"]:
        """Polls while the block runs, until the pattern matches."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        poll, every_s = POLLS[self._alarm.source]
        while not self.matched and not self._stop.is_set():
            began = time.monotonic()
            text = poll(self._service)
            # A response that came after the fault proves nothing.
            if not self._stop.is_set():
                self.matched = bool(self._pattern.search(text))
            self._stop.wait(max(0.0, began + every_s - time.monotonic()))


def _readyz(service: Service) -> str:
    try:
        response = requests.get(f"{service.url}/readyz", timeout=5)
    except requests.RequestException as error:
        return f"none {type(error).__name__}"
    return f"{response.status_code} {response.text}"


def _check(service: Service) -> str:
    """Its errors and warnings, each with the line below that says what to do."""
    try:
        run = subprocess.run(
            [sys.executable, "-m", "listener", "check"],
            cwd=ROOT,
            env=service.settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=CHECK_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return "no answer"
    return "\n".join(
        line for line in run.stdout.splitlines() if line.startswith(("error", "warning", " "))
    )


POLLS: dict[Source, tuple[Callable[[Service], str], float]] = {
    "readyz": (_readyz, READYZ_EVERY_S),
    "check": (_check, CHECK_EVERY_S),
}
