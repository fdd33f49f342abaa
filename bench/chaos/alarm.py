"""What must report a fault while it lasts, and what watches for it."""

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

LOOK_S = 0.2
# A run of `check` costs most of a second of a core, which the load needs as well.
CHECK_EVERY_S = 1.5
CHECK_TIMEOUT_S = 30.0

By = Literal["readyz", "check"]


@dataclass(frozen=True)
class Alarm:
    """A fault is reported.

    Attributes:
        by: `readyz` is what /readyz answers, `check` an error or a warning of `python -m listener check`.
        pattern: a regular expression that it must match at least once while the fault lasts.
        after_s: a fault that lasts less is exempt: nobody could have seen it.
    """

    by: By
    pattern: str
    after_s: float = 0.0


@dataclass(frozen=True)
class Exempt:
    """A fault that nothing needs to report, and why."""

    reason: str


SPOOLS = Alarm("readyz", r'^200 .*"spool"', 3.0)
REFUSES = Alarm("readyz", r"^503 ")


class Watch:
    """Looks at a service in a thread of its own."""

    def __init__(self, alarm: Alarm, service: Service) -> None:
        self._alarm = alarm
        self._service = service
        self._ends = threading.Event()
        self._pattern = re.compile(alarm.pattern, re.MULTILINE | re.IGNORECASE)
        self.seen = False
        self.last = ""

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        """Looks again and again while the block runs, until it has seen the alarm."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._ends.set()
            thread.join()

    def _run(self) -> None:
        look, every_s = LOOKS[self._alarm.by]
        while not self.seen and not self._ends.is_set():
            began = time.monotonic()
            found = look(self._service)
            if not self._ends.is_set():
                self.last = found
                self.seen = bool(self._pattern.search(found))
            self._ends.wait(max(0.0, began + every_s - time.monotonic()))


def _readyz(service: Service) -> str:
    try:
        answer = requests.get(f"{service.url}/readyz", timeout=5)
    except requests.RequestException as error:
        return f"none {type(error).__name__}"
    return f"{answer.status_code} {answer.text}"


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


LOOKS: dict[By, tuple[Callable[[Service], str], float]] = {
    "readyz": (_readyz, LOOK_S),
    "check": (_check, CHECK_EVERY_S),
}
