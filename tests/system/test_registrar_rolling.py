"""Deployments that roll, with real processes and a sandbox that sends all the while.

With the same URL, twenty times, COMMAND is a small server that acknowledges all: who is registered
is what matters there. With a new URL each time it is the listener itself.
"""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.registrar_process import (
    REGISTRAR,
    TOKEN,
    Balancer,
    balancing,
    sending,
    settings,
    settled,
    wait_until_registered,
)
from tests.sandbox_process import Sandbox
from tests.service_process import SUPERVISED, Service, wait_until

ROLLS = 20
ACKNOWLEDGER = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Acknowledge(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_POST = do_GET
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Acknowledge).serve_forever()
"""
STAND_IN = (*REGISTRAR, "run", "--", "python", "-S", "-c", ACKNOWLEDGER)


def instance(sandbox: Sandbox, folder: Path, redis_url: str, public_url: str | None) -> Service:
    command = STAND_IN if public_url else SUPERVISED
    service = Service(*command, **settings(sandbox, folder, REDIS_URL=redis_url))
    if public_url:
        service.settings["PUBLIC_URL"] = public_url
    return service


def roll(sandbox: Sandbox, old: Service, new: Service, balancer: Balancer) -> None:
    """Starts the new one, then ends the old one."""
    new.start()
    wait_until_registered(new)
    balancer.switch(new.port)
    # Its end is not waited for: the next one starts while it still drains.
    old.signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("same_url", "rolls"), [(True, ROLLS), (False, 3)], ids=["same-url", "new-url"]
)
def test_a_rolling_deployment_is_registered_throughout_and_loses_no_message(
    same_url: bool, rolls: int, redis_url: str, tmp_path: Path
) -> None:
    with Sandbox() as sandbox, balancing() as balancer, ExitStack() as stack:
        public = f"{balancer.url}/cb" if same_url else None
        old = stack.enter_context(instance(sandbox, tmp_path, redis_url, public))
        balancer.backend = old.port
        wait_until_registered(old)
        before: list[Service] = []
        with sending(sandbox, every_s=0.05):
            for _ in range(rolls):
                new = instance(sandbox, tmp_path, redis_url, public)
                stack.push(new)
                roll(sandbox, old, new, balancer)
                before.append(old)
                old = new
            for one in before:
                assert one.wait() == 0, one.log()
        wait_until(lambda: settled(sandbox))
        assert set(sandbox.counts().items()) >= {("lost", 0), ("unregistered", 0), ("pending", 0)}
        assert sandbox.counts()["acknowledged"] > rolls
        assert not [
            attempt
            for delivery in sandbox.deliveries()
            for attempt in delivery["attempts"]
            if attempt["kind"] != "first"
        ]
        history = sandbox.registrations()["history"]
        assert all(entry["url"] for entry in history), history
        assert len(history) == 1 if same_url else len(history) == 1 + rolls
        last_url = f"{old.settings['PUBLIC_URL']}/{TOKEN}"
        assert sandbox.registered_url() == last_url

        old.signal(signal.SIGTERM)
        assert old.wait() == 0, old.log()
        assert sandbox.registrations()["history"][len(history) :][0]["cause"] == "DELETE"
        assert len(sandbox.requests(path="/api/fota", method="DELETE")) == 1
        assert sandbox.requests(path="/api/fota")[-1]["method"] == "GET"
