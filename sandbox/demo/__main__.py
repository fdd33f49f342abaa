"""What `bin/run` shows: the whole service on this machine, and a small campaign played to it."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sandbox import provider_facts
from sandbox.demo.campaign import campaign
from sandbox.demo.deployment import Deployment, DeploymentError, StoppedError
from sandbox.server import stop_event
from testbed import redis_process

VAR = Path(__file__).parents[2] / "var"
# So that one can read along.
PACE_S = 0.2
PROBLEMS = (
    DeploymentError,
    redis_process.ServerNotFoundError,
    redis_process.ServerFailedError,
    OSError,
)

BY_HAND = """
Try it by hand:
  send it a message as ThingSpace would
    curl -d '{{"type": "upgradeFinished", "username": "demo", "password": "demo-password"}}' {url}
  have the stand-in send one to whatever is registered
    curl -d @tests/data/messages/upgrade-started.json '{root}/sandbox/messages?wait=1'
  see what the service asked of it: {root}/sandbox/requests
  see how it does, in a browser: http://{ops}/ (its metrics: http://{ops}/metrics)
  read the queue, and have everything looked at
    {redis}.venv/bin/python -m listener tail --from start --json
    {redis}ALLOW_ANY_SENDER=true .venv/bin/python -m listener check

Ctrl-C deregisters and stops everything."""


def main(folder: Path) -> int:
    """Runs until Ctrl-C, with its files under `folder`; 0 if all went well, 1 if a part failed."""
    with stop_event(on_eof=False) as stop, ExitStack() as parts:
        try:
            demo = Demo(Deployment(folder, parts, stop), stop)
            with suppress(StoppedError):
                demo.start()
                demo.play(parts)
                demo.explain()
                demo.wait()
            demo.end()
        except PROBLEMS as problem:
            say(f"\nrun: {problem}")
            return 1
    say("Stopped; no process is left behind.")
    return 0


class Demo:
    """Tells what happens, step by step."""

    def __init__(self, deployment: Deployment, stop: threading.Event) -> None:
        """Takes what to show, and what tells that the user has had enough."""
        self._deployment = deployment
        self._stop = stop
        self._began = datetime.now(UTC)
        self._received = 0

    def start(self) -> None:
        """Starts everything and returns once the URL is registered."""
        shown = self._deployment
        if shown.own_redis:
            say("run: starting a Redis server (append-only file, fsync always)")
            shown.start_redis()
        else:
            say("run: using the Redis server that REDIS_URL names, stream {fota:0}:messages")
        say(f"run: starting the stand-in for ThingSpace at {shown.root}")
        shown.start_sandbox()
        say(f"run: starting the service on port {shown.port} (its log: {shown.log})")
        shown.start_service()
        say(f"\nRegistered with the stand-in: {shown.registered_url()}")

    def play(self, parts: ExitStack) -> None:
        """Plays the campaign, one message of it twice, while a reader prints what is queued."""
        say("\nA campaign, as a consumer reads it from the queue:\n")
        parts.enter_context(self._reading())
        messages = campaign(provider_facts.EXAMPLE_ACCOUNT, self._began)
        results = []
        for message in [*messages[:3], messages[2], *messages[3:]]:
            self._stop.wait(PACE_S)
            results.append(self._deployment.send(message))
        self._deployment.wait_for("the last message", lambda: self._received >= len(messages))
        say(
            f"\n{len(results)} deliveries, {results.count('acknowledged')} acknowledged, "
            f"{self._received} messages in the queue: the one sent twice is there once."
        )

    def explain(self) -> None:
        """Says what to try by hand."""
        shown = self._deployment
        # Somebody else's Redis has a password, perhaps; the shell knows its URL already.
        redis = f"REDIS_URL={shown.redis_url} " if shown.own_redis else ""
        say(BY_HAND.format(url=shown.public_url, root=shown.root, ops=shown.ops_bind, redis=redis))

    def wait(self) -> None:
        """Returns when the user has had enough.

        Raises:
            DeploymentError: the service ended before that.
        """
        while not self._stop.wait(0.2):
            self._deployment.check()

    def end(self) -> None:
        """Ends the service and tells that it deregistered.

        Raises:
            DeploymentError: it did not.
        """
        say("\nStopping: SIGTERM to the service …")
        self._deployment.stop_service()
        say("Deregistered: ThingSpace's stand-in has no URL any more, and the service has ended.")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._deployment.reader(int(self._began.timestamp() * 1000)) as process:
            assert process.stdout  # noqa: S101 (a pipe was asked for)
            printer = threading.Thread(target=self._print_lines, args=(process.stdout,))
            printer.start()
            yield
        printer.join()

    def _print_lines(self, lines: IO[str]) -> None:
        for line in lines:
            say(f"  {line.rstrip()}")
            self._received += 1


def say(text: str) -> None:
    """One thing for the user to read, at once."""
    print(text, flush=True)  # noqa: T201 (a demonstration prints)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else VAR))
