"""`python -m sandbox.demo`, which bin/run starts: the whole service on this machine, and a small campaign sent to it."""

import shlex
import shutil
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from sandbox import provider_facts
from sandbox.demo.campaign import campaign
from sandbox.demo.deployment import Deployment, DeploymentError, StoppedError
from sandbox.server import stop_event
from testbed.redis_servers import discovery, redis_process

CHECKOUT = Path(__file__).parents[2]
VAR = CHECKOUT / "var"
# As somebody in the checkout would write it.
PYTHON = (
    ".venv/bin/python"
    if Path(sys.executable) == CHECKOUT / ".venv/bin/python"
    else shlex.quote(sys.executable)
)
# Slow enough to read along.
PACE_S = 0.2
PROBLEMS = (
    DeploymentError,
    discovery.ServerNotFoundError,
    redis_process.ServerFailedError,
    OSError,
)

BY_HAND = """
Try it by hand, in another shell, in {checkout}:{no_curl}
  send it a message as ThingSpace would
    {curl} -d '{{"type": "upgradeFinished", "username": "demo", "password": "demo-password"}}' {url}
  have the stand-in send one to whatever is registered
    {curl} -d @listener/messages/samples/upgrade-started.json '{root}/sandbox/messages?wait=1'
  see what the service asked of it: {root}/sandbox/requests
  see how it does, in a browser: http://{ops}/ (its metrics: http://{ops}/metrics)
  read the queue{redis_note}
    {redis}{python} -m listener tail --from start --no-follow --json
  have everything looked at
    {redis}{spool}ALLOW_ANY_SENDER=true {python} -m listener check

Ctrl-C deregisters and stops everything."""


HELP = """Runs the whole service on this machine, with a stand-in for ThingSpace that sends it a small campaign.

It starts a Redis server, the stand-in, the service and a consumer as real processes, registers, sends twelve messages,
has a lost one found, and prints what to try by hand. Ctrl-C deregisters and stops everything. Its files go to FOLDER.

\b
Environment:
  PORT       of the service; else 8000 or any free one. The next two are the stand-in's and Redis's.
  OPS_BIND   the operating port; else 127.0.0.1:9464 or any free one
  REDIS_URL  a Redis server to use in place of one of its own
"""


@click.command(help=HELP, context_settings={"max_content_width": 100})
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=VAR)
def main(folder: Path) -> None:
    sys.exit(run(folder))


def run(folder: Path) -> int:
    """Runs until Ctrl-C; 0 if all went well, 1 if a part failed."""
    with stop_event(on_eof=False) as stop, ExitStack() as parts:
        try:
            demo = Demo(Deployment(folder, parts, stop), stop)
            with suppress(StoppedError):
                demo.start()
                demo.play(parts)
                demo.recover()
                demo.explain()
                demo.wait()
            demo.end()
        except PROBLEMS as problem:
            click.echo(f"\nrun: {problem}")
            return 1
    click.echo("Stopped; no process is left behind.")
    return 0


class Demo:
    """The steps of the demonstration; each prints what it does.

    Args:
        deployment: what is demonstrated.
        stop: is set when the user stops the demonstration.
    """

    def __init__(self, deployment: Deployment, stop: threading.Event) -> None:
        self._deployment = deployment
        self._stop = stop
        self._began = datetime.now(UTC)
        self._received = 0

    def start(self) -> None:
        """Starts everything and returns once the URL is registered."""
        deployment = self._deployment
        if deployment.own_redis:
            click.echo("run: starting a Redis server (append-only file, fsync always)")
            deployment.start_redis()
        else:
            click.echo("run: using the Redis server that REDIS_URL names, stream {fota:0}:messages")
        click.echo(f"run: starting the stand-in for ThingSpace at {deployment.root}")
        deployment.start_sandbox()
        click.echo(
            f"run: starting the service on port {deployment.port} (its log: {deployment.log})"
        )
        deployment.start_service()
        if deployment.own_redis:
            deployment.start_consumer()
        click.echo(f"\nRegistered with the stand-in: {deployment.registered_url()}")
        # The first sweep of ThingSpace's reports only records what is there.
        deployment.sweep()

    def play(self, parts: ExitStack) -> None:
        """Sends the campaign, one message of it twice, while a reader prints the queued messages."""
        click.echo("\nA campaign, as a consumer reads it from the queue:\n")
        parts.enter_context(self._reading())
        messages = campaign(provider_facts.EXAMPLE_ACCOUNT, self._began)
        results = []
        for message in [*messages[:3], messages[2], *messages[3:]]:
            self._stop.wait(PACE_S)
            results.append(self._deployment.send(message))
        self._deployment.wait_for("the last message", lambda: self._received >= len(messages))
        click.echo(
            f"\n{len(results)} deliveries, {results.count('acknowledged')} acknowledged, "
            f"{self._received} messages in the queue: the one sent twice is there once."
        )

    def recover(self) -> None:
        """Loses a message on purpose, and has the sweeps of ThingSpace's reports find it."""
        click.echo(
            "\nA message is lost on purpose: an upgrade is scheduled, and nothing is sent of it."
        )
        before = self._received
        self._deployment.schedule_unannounced_upgrade()
        self._deployment.sweep()
        click.echo(
            "ThingSpace's reports show the upgrade; a second look finds that no message came:\n"
        )
        if queued := self._deployment.sweep()["queued"]:
            self._deployment.wait_for("the recovered message", lambda: self._received > before)
            click.echo(f"\n{queued} message was recovered and is in the queue, marked as such.")
        else:
            # On a server before Redis 7 that had messages before it was first read.
            click.echo("  nothing: the message may have come and been trimmed before it was read.")

    def explain(self) -> None:
        """Prints what to try by hand."""
        deployment = self._deployment
        # A Redis server that REDIS_URL names may have a password.
        own = deployment.own_redis
        usual = deployment.spool == VAR / "spool"
        click.echo(
            BY_HAND.format(
                checkout=CHECKOUT,
                no_curl="" if shutil.which("curl") else " (curl is not installed here)",
                # A proxy that the shell names does not lead to this machine.
                curl="curl --noproxy '*'" if urllib.request.getproxies().get("http") else "curl",
                python=PYTHON,
                url=deployment.public_url,
                root=deployment.root,
                ops=deployment.ops_bind,
                redis=f"REDIS_URL={deployment.redis_url} " if own else "",
                redis_note="" if own else " (with the REDIS_URL that is used here)",
                spool="" if usual else f"SPOOL_DIR={shlex.quote(str(deployment.spool))} ",
            )
        )

    def wait(self) -> None:
        """Returns when the user stops the demonstration. Raises DeploymentError if the service ends before."""
        while not self._stop.wait(0.2):
            self._deployment.check()

    def end(self) -> None:
        """Ends the service, which deregisters. Raises DeploymentError if it fails to."""
        click.echo("\nStopping: SIGTERM to the service …")
        self._deployment.stop_service()
        click.echo(
            "Deregistered: ThingSpace's stand-in has no URL any more, and the service has ended."
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._deployment.reader(int(self._began.timestamp() * 1000)) as reader:
            printer = threading.Thread(target=self._print_lines, args=(reader.output,))
            printer.start()
            try:
                yield
            finally:
                reader.stop()
                printer.join()

    def _print_lines(self, lines: IO[str]) -> None:
        for line in lines:
            click.echo(f"  {line.rstrip()}")
            self._received += 1


if __name__ == "__main__":
    main(prog_name="python -m sandbox.demo")
