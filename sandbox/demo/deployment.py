"""The whole service on this machine, started as in production, with the sandbox in ThingSpace's place.

Every part is a real process of its own: a Redis server (unless REDIS_URL names one), the sandbox, the
registrar with gunicorn under it. Only their settings are made up here.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from sandbox import provider_facts
from sandbox.demo.processes import free_port, is_taken, running
from testbed import redis_process

CALLBACK_PATH = "/CallbackListener/FirmwareServiceMessages.asmx"
LOGIN = {"CALLBACK_USERNAME": "demo", "CALLBACK_PASSWORD": "demo-password"}
BOOT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
# The sandbox and the Redis server listen on the next two ports, if these are free.
HIGHEST_PORT = 65533
# Settings of another deployment, left in the shell, must not leak into this one.
FOREIGN = ("CALLBACK_", "THINGSPACE_", "REGISTRAR", "QUEUE_", "PUBLIC_URL", "TRUSTED_", "ALLOW_")


class DeploymentError(Exception):
    """Something did not come up or broke; the message says what, and where to look."""


class StoppedError(Exception):
    """The user has had enough before everything was up."""


class Deployment:
    """The parts, started in the order in which they depend on each other, stopped in the reverse.

    Attributes:
        public_url: what is registered.
        ops_bind: where the operator's side is.
        root: the sandbox's address.
        redis_url: the queue's.
        own_redis: whether that server is ours.
        log: where the service's lines go.
    """

    def __init__(self, folder: Path, parts: ExitStack, stop: threading.Event) -> None:
        """Starts nothing yet.

        Args:
            folder: where files go; made if need be.
            parts: what will stop the parts.
            stop: set when the user has had enough.

        Raises:
            DeploymentError: PORT is none.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._parts = parts
        self._stop = stop
        self.log = folder / "service.log"
        self.port = wanted_port()
        self.root = f"http://127.0.0.1:{free_port(self.port + 1)}"
        self.ops_bind = os.environ.get("OPS_BIND") or f"127.0.0.1:{free_port(9464)}"
        self.public_url = f"http://127.0.0.1:{self.port}{CALLBACK_PATH}"
        self.redis_url = os.environ.get("REDIS_URL") or ""
        self.own_redis = not self.redis_url
        self._service: subprocess.Popen[str] | None = None
        # Everything is on this machine: a proxy that the shell names has no part in it.
        self._http = parts.enter_context(requests.Session())
        self._http.trust_env = False

    def start_redis(self) -> None:
        """Starts a server of our own."""
        server = redis_process.running(self._folder / "redis", port=free_port(self.port + 2))
        self.redis_url = self._parts.enter_context(server)

    def start_sandbox(self) -> None:
        """Starts the sandbox and returns once it answers."""
        port = self.root.rpartition(":")[2]
        command = ["-m", "sandbox", "--port", port, "--exit-on-eof"]
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        self._parts.enter_context(running(command, **streams))
        self.wait_for("the sandbox", lambda: self._get("/sandbox/registrations") is not None)

    def start_service(self) -> None:
        """Starts the registrar and returns once the URL is registered."""
        self._service = self._parts.enter_context(self._running_service())
        self.wait_for("the registration", lambda: self.registered_url() is not None)

    @contextmanager
    def reader(self, start_ms: int) -> Iterator["subprocess.Popen[str]"]:
        """A process that prints the messages in the queue from a time on, as they arrive."""
        command = ["-m", "listener", "tail", "--from", str(start_ms)]
        with running(command, stdout=subprocess.PIPE, env=self._environment()) as process:
            yield process

    def send(self, message: dict[str, Any]) -> str:
        """Has the sandbox send a message; what became of it."""
        url = f"{self.root}/sandbox/messages?wait=1"
        answer = self._http.post(url, json=message, timeout=BOOT_TIMEOUT_S)
        return str(answer.json()["result"])

    def registered_url(self) -> str | None:
        """What the sandbox has registered."""
        found = (self._get("/sandbox/registrations") or {}).get("registrations")
        return found[0]["url"] if found else None

    def stop_service(self) -> None:
        """Ends the service as a platform would.

        Raises:
            DeploymentError: it failed, or left its URL registered.
        """
        if self._service is None:
            return
        self._service.terminate()
        status = self._service.wait(STOP_TIMEOUT_S)
        left = self.registered_url()
        if status or left:
            raise DeploymentError(
                f"the service ended with {status}, registered: {left}{self._end()}"
            )

    def check(self) -> None:
        """Returns if the service runs, or was not started.

        Raises:
            DeploymentError: it ended by itself.
        """
        if self._service and self._service.poll() is not None:
            status = self._service.returncode
            raise DeploymentError(f"the service ended with status {status}{self._end()}")

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Polls until the condition holds.

        Raises:
            DeploymentError: it did not in time, or the service ended.
            StoppedError: the user has had enough.
        """
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while not condition():
            self.check()
            if self._stop.wait(0.05):
                raise StoppedError
            if time.monotonic() > deadline:
                raise DeploymentError(f"{what} did not come in time{self._end()}")

    @contextmanager
    def _running_service(self) -> Iterator["subprocess.Popen[str]"]:
        command = ["-m", "registrar", "run", "--", "gunicorn", "listener.wsgi:app"]
        with (
            self.log.open("w") as log,
            running(command, stdout=log, stderr=log, env=self._environment()) as process,
        ):
            yield process

    def _environment(self) -> dict[str, str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            "LOG_FORMAT": "text",
            **kept,
            **LOGIN,
            "NO_PROXY": "127.0.0.1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "REDIS_URL": self.redis_url,
            "SPOOL_DIR": str(self._folder / "spool"),
            "PORT": str(self.port),
            "OPS_BIND": self.ops_bind,
            "PUBLIC_URL": self.public_url,
            "THINGSPACE_BASE_URL": f"{self.root}/api",
            "THINGSPACE_ACCOUNTS": provider_facts.EXAMPLE_ACCOUNT,
            "THINGSPACE_KEY": "sandbox-key",
            "THINGSPACE_SECRET": "sandbox-secret",
            "THINGSPACE_USERNAME": "sandbox-user",
            "THINGSPACE_PASSWORD": "sandbox-password",
            # The probe would warn, rightly, that the internet cannot reach this machine.
            "REGISTRAR_PROBE": "off",
        }

    def _get(self, path: str) -> Any:
        try:
            return self._http.get(f"{self.root}{path}", timeout=5).json()
        except requests.ConnectionError:
            return None

    def _end(self) -> str:
        """The end of the service's log, to show beside a failure."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return "".join(f"\n  {line}" for line in ["; the end of its log:", *lines[-15:]])


def wanted_port() -> int:
    """PORT, or 8000, or any free one if that is taken.

    Raises:
        DeploymentError: PORT is none that the service and its neighbours can listen on.
    """
    text = os.environ.get("PORT")
    if not text:
        return free_port(8000)
    if not text.isdecimal() or not 1 <= int(text) <= HIGHEST_PORT:
        raise DeploymentError(f"PORT must be a number from 1 to {HIGHEST_PORT}")
    if is_taken(int(text)):
        # The registrar would take whoever answers there for the service.
        raise DeploymentError(f"PORT {text} is taken by another process: choose one that is free")
    return int(text)
