"""The registrar as an operator starts it: its settings, its commands, its log lines."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from testbed.polling import wait_until
from testbed.process import BIN, ROOT
from testbed.sandbox_client import Sandbox
from testbed.service import Service

REGISTRAR = ("python", "-m", "registrar")
TOKEN = "token-of-the-registrar-tests"


def settings(sandbox: Sandbox, folder: Path, **more: str) -> dict[str, str]:
    """A registrar's settings that lead it to the sandbox, and its files into a folder."""
    return {
        **sandbox.environment(),
        "CALLBACK_TOKEN": TOKEN,
        "SPOOL_DIR": str(folder / "spool"),
        "REGISTRAR_PROBE": "off",
        "WEB_CONCURRENCY": "1",
        **more,
    }


def command_line(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs one of the registrar's commands to its end."""
    return subprocess.run(
        [*REGISTRAR, *words],
        cwd=ROOT,
        env={"PATH": f"{BIN}:{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def events(service: Service) -> list[dict[str, Any]]:
    """The service's log lines that are JSON, in order."""
    found = []
    for line in service.log().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def has_said(service: Service, *names: str) -> bool:
    """Whether one of these events is in the log; a search for text, because it is asked often."""
    log = service.log()
    return any(f'"event":"{name}"' in log for name in names)


def wait_until_said(service: Service, *names: str) -> None:
    """Returns once one of these events is in the log."""
    wait_until(lambda: has_said(service, *names), service.log)


def wait_until_registered(service: Service) -> None:
    """Returns once the service's own boot tick is through, whatever it had to do."""
    wait_until_said(service, "registered", "registration is as desired")


def gone(pids: list[int]) -> bool:
    """Whether none of these processes runs any more."""
    return not any(psutil.pid_exists(pid) and not _zombie(pid) for pid in pids)


def _zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def sending(sandbox: Sandbox, *, every_s: float) -> Iterator[None]:
    """Makes the sandbox send a new message every `every_s` seconds while the block runs."""
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.wait(every_s):
            number += 1
            sandbox.send(
                {
                    "type": "upgradeProgress",
                    "accountName": sandbox.account,
                    "number": f"{number}-{time.time_ns()}",
                }
            )

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def settled(sandbox: Sandbox) -> bool:
    """Whether no delivery is under way any more."""
    return all(one["result"] != "pending" for one in sandbox.deliveries())
