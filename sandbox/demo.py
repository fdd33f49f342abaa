"""What `bin/run` shows: the whole service on this machine, and a small campaign played to it.

Every part is a real process of its own, started as in production: a Redis server (unless REDIS_URL
names one), the sandbox in ThingSpace's place, the registrar with gunicorn under it, and a reader of
the queue. Only their settings are made up here.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import requests

from sandbox import embedded_redis, facts
from sandbox.campaign import campaign
from sandbox.processes import free_port, running
from sandbox.server import stop_event

VAR = Path(__file__).parent.parent / "var"
CALLBACK_PATH = "/CallbackListener/FirmwareServiceMessages.asmx"
LOGIN = {"CALLBACK_USERNAME": "demo", "CALLBACK_PASSWORD": "demo-password"}
BOOT_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
# So that one can read along.
PACE_S = 0.2
# Settings of another deployment, left in the shell, must not leak into the demonstration.
FOREIGN = ("CALLBACK_", "THINGSPACE_", "REGISTRAR", "QUEUE_", "PUBLIC_URL", "TRUSTED_", "ALLOW_")


class DemoError(Exception):
    """Something did not come up; the message says what, and where to look."""


def main(folder: Path) -> int:
    """Runs until Ctrl-C, with its files under `folder`; 0 if all went well, 1 if a part failed."""
    with stop_event(on_eof=False) as stop, ExitStack() as parts:
        try:
            demo = Demo(folder, parts, stop)
            demo.start()
            demo.play()
            demo.explain()
            demo.wait()
            demo.end()
        except (DemoError, embedded_redis.ServerNotFoundError, OSError) as problem:
            say(f"\nrun: {problem}")
            return 1
    say("Stopped; no process is left behind.")
    return 0


class Demo:
    """The parts, in the order in which they depend on each other; stopped in the reverse order."""

    def __init__(self, folder: Path, parts: ExitStack, stop: threading.Event) -> None:
        """Takes where files go, what will stop the parts, and what tells that the user leaves."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._log = folder / "service.log"
        self._parts = parts
        self._stop = stop
        self._began = datetime.now(UTC)
        self._port = wanted_port()
        self._root = f"http://127.0.0.1:{free_port(self._port + 1)}"
        self._public_url = f"http://127.0.0.1:{self._port}{CALLBACK_PATH}"
        self._redis_url = os.environ.get("REDIS_URL") or ""
        self.received = 0

    def start(self) -> None:
        """Starts everything and returns once the URL is registered."""
        self._start_redis()
        self._start_sandbox()
        say(f"run: starting the service on port {self._port} (its log: {self._log})")
        self._service = self._parts.enter_context(self._running_service())
        self._wait_for("the registration", lambda: self._registered_url() is not None)
        say(f"\nRegistered with the stand-in: {self._registered_url()}")

    def play(self) -> None:
        """Plays the campaign, one message of it twice, while a reader prints what is queued."""
        say("\nA campaign, as a consumer reads it from the queue:\n")
        self._parts.enter_context(self._reading())
        messages = campaign(facts.EXAMPLE_ACCOUNT, self._began)
        results = [self._send(message) for message in [*messages[:3], messages[2], *messages[3:]]]
        self._wait_for("the last message", lambda: self.received >= len(messages))
        acknowledged = results.count("acknowledged")
        say(
            f"\n{len(results)} deliveries, {acknowledged} acknowledged, "
            f"{self.received} messages in the queue: the one sent twice is there once."
        )

    def explain(self) -> None:
        """Says what to try by hand."""
        environment = " ".join(
            f"{k}={v}" for k, v in {"REDIS_URL": self._redis_url, **LOGIN}.items()
        )
        say(
            "\nTry it by hand:\n"
            "  send it a message as ThingSpace would\n"
            f'    curl -d \'{{"type": "upgradeFinished", "username": "demo", '
            f'"password": "demo-password"}}\' {self._public_url}\n'
            "  have the stand-in send one to whatever is registered\n"
            f"    curl -d @tests/messages/upgrade-started.json '{self._root}/sandbox/messages?wait=1'\n"
            f"  see what the service asked of it: {self._root}/sandbox/requests\n"
            f"  see whether it can keep messages: http://127.0.0.1:{self._port}/readyz\n"
            "  read the queue\n"
            f"    {environment} .venv/bin/python -m listener tail --from start --json\n"
            "\nCtrl-C deregisters and stops everything."
        )

    def wait(self) -> None:
        """Returns when the user has had enough.

        Raises:
            DemoError: the service ended before that.
        """
        while not self._stop.wait(0.2):
            self._check_service()

    def end(self) -> None:
        """Ends the service as a platform would, and tells whether it deregistered."""
        say("\nStopping: SIGTERM to the service …")
        self._service.terminate()
        status = self._service.wait(STOP_TIMEOUT_S)
        left = self._registered_url()
        if status or left:
            raise DemoError(
                f"the service ended with {status}, registered: {left}{log_end(self._log)}"
            )
        say("Deregistered: ThingSpace's stand-in has no URL any more, and the service has ended.")

    def _start_redis(self) -> None:
        if self._redis_url:
            say("run: using the Redis server that REDIS_URL names")
            return
        say("run: starting a Redis server (append-only file, fsync always)")
        server = embedded_redis.running(self._folder / "redis", port=free_port(self._port + 2))
        self._redis_url = self._parts.enter_context(server)

    def _start_sandbox(self) -> None:
        say(f"run: starting the stand-in for ThingSpace at {self._root}")
        port = self._root.rpartition(":")[2]
        command = ["-m", "sandbox", "--port", port, "--exit-on-eof"]
        self._parts.enter_context(
            running(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        )
        self._wait_for("the stand-in", lambda: self._get("/sandbox/registrations") is not None)

    @contextmanager
    def _running_service(self) -> Iterator["subprocess.Popen[str]"]:
        command = ["-m", "registrar", "run", "--", "gunicorn", "listener.wsgi:app"]
        with (
            self._log.open("w") as log,
            running(command, stdout=log, stderr=log, env=self._environment()) as process,
        ):
            yield process

    @contextmanager
    def _reading(self) -> Iterator[None]:
        start = str(int(self._began.timestamp() * 1000))
        command = ["-m", "listener", "tail", "--from", start]
        with running(command, stdout=subprocess.PIPE, env=self._environment()) as process:
            assert process.stdout  # noqa: S101 (a pipe was asked for)
            reader = threading.Thread(target=self._print_lines, args=(process.stdout,))
            reader.start()
            yield
        reader.join()

    def _print_lines(self, lines: IO[str]) -> None:
        for line in lines:
            say(f"  {line.rstrip()}")
            self.received += 1

    def _environment(self) -> dict[str, str]:
        kept = {name: v for name, v in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            "LOG_FORMAT": "text",
            **kept,
            **LOGIN,
            "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            "REDIS_URL": self._redis_url,
            "SPOOL_DIR": str(self._folder / "spool"),
            "PORT": str(self._port),
            "PUBLIC_URL": self._public_url,
            "THINGSPACE_BASE_URL": f"{self._root}/api",
            "THINGSPACE_ACCOUNTS": facts.EXAMPLE_ACCOUNT,
            "THINGSPACE_KEY": "sandbox-key",
            "THINGSPACE_SECRET": "sandbox-secret",
            "THINGSPACE_USERNAME": "sandbox-user",
            "THINGSPACE_PASSWORD": "sandbox-password",
            # The probe would warn, rightly, that the internet cannot reach this machine.
            "REGISTRAR_PROBE": "off",
        }

    def _send(self, message: dict[str, Any]) -> str:
        self._stop.wait(PACE_S)
        answer = requests.post(
            f"{self._root}/sandbox/messages?wait=1", json=message, timeout=BOOT_TIMEOUT_S
        )
        return str(answer.json()["result"])

    def _registered_url(self) -> str | None:
        found = (self._get("/sandbox/registrations") or {}).get("registrations")
        return found[0]["url"] if found else None

    def _get(self, path: str) -> Any:
        try:
            return requests.get(f"{self._root}{path}", timeout=5).json()
        except requests.ConnectionError:
            return None

    def _wait_for(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while not condition():
            self._check_service()
            if time.monotonic() > deadline or self._stop.wait(0.05):
                raise DemoError(f"{what} did not come in time{log_end(self._log)}")

    def _check_service(self) -> None:
        service = getattr(self, "_service", None)
        if service and service.poll() is not None:
            raise DemoError(
                f"the service ended with status {service.returncode}{log_end(self._log)}"
            )


def wanted_port() -> int:
    """PORT, or 8000, or any free one if that is taken."""
    return int(os.environ.get("PORT") or free_port(8000))


def log_end(log: Path) -> str:
    """The end of a log, to show beside a failure."""
    lines = log.read_text().splitlines() if log.exists() else []
    return "".join(f"\n  {line}" for line in ["; the end of its log:", *lines[-15:]])


def say(text: str) -> None:
    """One thing for the user to read, at once."""
    print(text, flush=True)  # noqa: T201 (a demonstration prints)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else VAR))
