"""The whole service on this machine, started as in production, with the sandbox in ThingSpace's place.

Each part is a real process: a Redis server (unless REDIS_URL names one), the sandbox, and the registrar with
gunicorn as its child, and a program that consumes the queue.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from sandbox import provider_facts
from testbed.polling import DeadlineError, wait_until
from testbed.ports import free_port_near, is_free
from testbed.process import ChildProcess
from testbed.redis_servers import discovery, redis_process

CHECKOUT = Path(__file__).parents[2]
CONSUMER = CHECKOUT / "docs" / "examples" / "python_library.py"
CALLBACK_PATH = "/CallbackListener/FirmwareServiceMessages.asmx"
LOGIN = {"CALLBACK_USERNAME": "demo", "CALLBACK_PASSWORD": "demo-password"}
BOOT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
# The sandbox and the Redis server listen on the next two ports, if these are free.
HIGHEST_PORT = 65533
# Settings of another deployment that are still set in the shell must not reach this one.
DROPPED_PREFIXES = (
    "CALLBACK_",
    "THINGSPACE_",
    "REGISTRAR",
    "QUEUE_",
    "PUBLIC_URL",
    "TRUSTED_",
    "ALLOW_",
    "REDIS_URL_FILE",
)


class DeploymentError(Exception):
    """A part did not start, or failed; the message says which, and where to look."""


class StoppedError(Exception):
    """The user stopped the demonstration before every part was up."""


class Deployment:
    """The parts, started in the order of their dependencies and stopped in the reverse order.

    Args:
        folder: for the files of all parts; made if need be.
        parts: stops the parts when it is closed.
        stop: is set when the user stops the demonstration.

    Attributes:
        port: the service's.
        public_url: the URL that is registered.
        ops_bind: host and port of the operating port.
        root: the sandbox's address.
        redis_url: the queue's.
        own_redis: whether the Redis server is a part.
        spool: the service's folder for messages that Redis does not confirm.
        log: the file of the service's log.

    Raises:
        DeploymentError: PORT is invalid.
    """

    def __init__(self, folder: Path, parts: ExitStack, stop: threading.Event) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._parts = parts
        self._stop = stop
        self.spool = folder / "spool"
        self.log = folder / "service.log"
        self.port = wanted_port()
        self.root = f"http://127.0.0.1:{free_port_near(self.port + 1)}"
        self.ops_bind = os.environ.get("OPS_BIND") or f"127.0.0.1:{free_port_near(9464)}"
        self.public_url = f"http://127.0.0.1:{self.port}{CALLBACK_PATH}"
        self.redis_url = os.environ.get("REDIS_URL") or ""
        self.own_redis = not self.redis_url
        self._service: ChildProcess | None = None
        self._consumer: ChildProcess | None = None
        self._consumer_log = folder / "consumer.log"
        # Everything is on this machine: ignore a proxy that the shell's environment names.
        self._http = parts.enter_context(requests.Session())
        self._http.trust_env = False

    def start_redis(self) -> None:
        """Starts a Redis server."""
        # What an earlier run kept is there again, unless another server wrote it.
        data = self._folder / discovery.data_name(discovery.find_server())
        server = redis_process.running(data, port=free_port_near(self.port + 2))
        self.redis_url = self._parts.enter_context(server)

    def start_sandbox(self) -> None:
        """Starts the sandbox and returns once it answers."""
        port = self.root.rpartition(":")[2]
        command = ("-m", "sandbox", "--port", port, "--exit-on-eof")
        sandbox = ChildProcess(sys.executable, *command)
        sandbox.stdin, sandbox.stdout = subprocess.PIPE, subprocess.DEVNULL
        self._start(sandbox)
        self.wait_for("the sandbox", lambda: self._get("/sandbox/registrations") is not None)

    def start_service(self) -> None:
        """Starts the registrar and returns once the URL is registered."""
        self.log.unlink(missing_ok=True)
        command = ("-m", "registrar", "run", "--", "gunicorn", "listener.wsgi:app")
        self._service = ChildProcess(
            sys.executable, *command, environ=self._environment(), log=self.log
        )
        self._start(self._service)
        self.wait_for("the registration", lambda: self.registered_url() is not None)

    def start_consumer(self) -> None:
        """Starts a program that consumes the queue, so that the messages have a consumer group.

        Not on a Redis server of the user's: a group that stays there and reads no more would keep all messages.
        """
        environ = self._environment() | {
            "GROUP": "demo",
            "HANDLED": str(self._folder / "handled.sqlite3"),
            # The program lies in another folder than the packages.
            "PYTHONPATH": str(CHECKOUT),
        }
        self._consumer_log.unlink(missing_ok=True)
        self._consumer = ChildProcess(
            sys.executable, CONSUMER, environ=environ, log=self._consumer_log
        )
        self._start(self._consumer)
        self.wait_for("the consumer", lambda: "consumer started" in self._consumer_log.read_text())

    @contextmanager
    def reader(self, start_ms: int) -> Iterator[ChildProcess]:
        """A process that prints the queued messages from a time on, as they arrive, while the block runs."""
        command = ("-m", "listener", "tail", "--from", str(start_ms))
        reader = ChildProcess(sys.executable, *command, environ=self._environment())
        reader.stdout = subprocess.PIPE
        with reader:
            yield reader

    def send(self, message: dict[str, Any]) -> str:
        """Has the sandbox send a message; returns the delivery's result."""
        url = f"{self.root}/sandbox/messages?wait=1"
        answer = self._http.post(url, json=message, timeout=BOOT_TIMEOUT_S)
        return str(answer.json()["result"])

    def schedule_unannounced_upgrade(self) -> None:
        """Has an upgrade in the sandbox's reports of which no message was sent."""
        wanted = {"version": "v1", "devices": 1, "upgrades": 1, "states": {"Queued": 1}}
        self._http.post(f"{self.root}/sandbox/campaigns", json=wanted, timeout=BOOT_TIMEOUT_S)

    def sweep(self) -> dict[str, Any]:
        """Sweeps the sandbox's reports, as an operator would by hand; returns what was found.

        Raises:
            DeploymentError: the command failed.
        """
        # The second look follows at once: a real one waits for a day.
        environ = self._environment() | {"RECOVERY": "queue", "RECOVERY_SECOND_LOOK_S": "0"}
        command = ("-m", "registrar", "recover", "--json")
        sweep = ChildProcess(sys.executable, *command, environ=environ)
        sweep.stdout = subprocess.PIPE
        with sweep:
            output = sweep.output.read()
            if sweep.wait():
                raise DeploymentError(f"the sweep failed: {output}{sweep.log()}")
        found: dict[str, Any] = json.loads(output)
        return found

    def registered_url(self) -> str | None:
        """The URL that the sandbox has registered, if any."""
        registrations = (self._get("/sandbox/registrations") or {}).get("registrations")
        return registrations[0]["url"] if registrations else None

    def stop_service(self) -> None:
        """Ends the service with SIGTERM, as a platform does.

        Raises:
            DeploymentError: its exit status is not 0, or its URL is still registered.
        """
        if self._service is None:
            return
        status = self._service.stop(STOP_TIMEOUT_S)
        url = self.registered_url()
        if status or url:
            raise DeploymentError(
                f"the service ended with {status}, registered: {url}{_end_of_log(self.log)}"
            )

    def check(self) -> None:
        """Raises DeploymentError if the service or the consumer has ended."""
        for what, process, log in (
            ("the service", self._service, self.log),
            ("the consumer", self._consumer, self._consumer_log),
        ):
            if process and process.ended():
                raise DeploymentError(
                    f"{what} ended with status {process.wait()}{_end_of_log(log)}"
                )

    def wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        """Polls until the condition holds.

        Raises:
            DeploymentError: it did not hold in time, or the service ended.
            StoppedError: the user stopped the demonstration.
        """

        def holds() -> bool:
            self.check()
            if self._stop.is_set():
                raise StoppedError
            return condition()

        try:
            wait_until(holds, what, BOOT_TIMEOUT_S)
        except DeadlineError:
            raise DeploymentError(f"{what} did not come in time{_end_of_log(self.log)}") from None

    def _start(self, process: ChildProcess) -> None:
        """Starts a part; the end of the demonstration stops it with SIGTERM."""
        self._parts.enter_context(process)
        self._parts.callback(process.stop, STOP_TIMEOUT_S)

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: v for name, v in os.environ.items() if not name.startswith(DROPPED_PREFIXES)
        }
        return {
            "LOG_FORMAT": "text",
            **inherited,
            **LOGIN,
            "NO_PROXY": "127.0.0.1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "REDIS_URL": self.redis_url,
            "SPOOL_DIR": str(self.spool),
            "PORT": str(self.port),
            "OPS_BIND": self.ops_bind,
            "PUBLIC_URL": self.public_url,
            "THINGSPACE_BASE_URL": f"{self.root}/api",
            "THINGSPACE_ACCOUNTS": provider_facts.EXAMPLE_ACCOUNT,
            "THINGSPACE_KEY": "sandbox-key",
            "THINGSPACE_SECRET": "sandbox-secret",
            "THINGSPACE_USERNAME": "sandbox-user",
            "THINGSPACE_PASSWORD": "sandbox-password",
            # The probe would warn, correctly, that the internet cannot reach this machine.
            "REGISTRAR_PROBE": "off",
        }

    def _get(self, path: str) -> Any:
        try:
            return self._http.get(f"{self.root}{path}", timeout=5).json()
        except requests.ConnectionError:
            return None


def _end_of_log(log: Path) -> str:
    """The end of a log, for an error."""
    lines = log.read_text().splitlines() if log.exists() else []
    return "".join(f"\n  {line}" for line in ["; the end of its log:", *lines[-15:]])


def wanted_port() -> int:
    """PORT; without it 8000, or any free port if that is taken.

    Raises:
        DeploymentError: PORT is not a number in range, or is taken.
    """
    text = os.environ.get("PORT")
    if not text:
        return free_port_near(8000)
    if not text.isdecimal() or not 1 <= int(text) <= HIGHEST_PORT:
        raise DeploymentError(f"PORT must be a number from 1 to {HIGHEST_PORT}")
    if not is_free(int(text)):
        # The registrar would mistake the process that answers there for the service.
        raise DeploymentError(f"PORT {text} is taken by another process: choose one that is free")
    return int(text)
