"""What the registrar's system tests have in common: settings, log lines, and a balancer.

It imports none of our packages, so that system tests can use it.
"""

import json
import os
import socket
import socketserver
import subprocess
import threading
import time
from collections import Counter
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


class Balancer(socketserver.ThreadingTCPServer):
    """Stands at one address and leads each new connection to the port that is chosen then."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.backend = 0
        self._lock = threading.Lock()
        self._led = Counter[int]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def leading(self) -> Iterator[int]:
        """Leads one connection to the present backend while the block runs."""
        with self._lock:
            port = self.backend
            self._led[port] += 1
        try:
            yield port
        finally:
            with self._lock:
                self._led[port] -= 1

    def switch(self, port: int) -> None:
        """Chooses another backend; returns when nothing is under way to the one before."""
        with self._lock:
            before, self.backend = self.backend, port
        wait_until(lambda: not self._led[before])


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Balancer)
        with self.server.leading() as port:
            self.relay(port)

    def relay(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as backend:
            back = threading.Thread(target=_pump, args=(backend, self.request), daemon=True)
            back.start()
            _pump(self.request, backend)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # Either side may hang up; the other then notices by itself.
        pass


@contextmanager
def balancing() -> Iterator[Balancer]:
    """A balancer while the block runs."""
    with Balancer() as balancer:
        thread = threading.Thread(target=balancer.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield balancer
        finally:
            balancer.shutdown()
            thread.join()


@contextmanager
def sending(sandbox: Sandbox, *, every_s: float) -> Iterator[None]:
    """Has the sandbox send a message of its own every so often while the block runs."""
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
