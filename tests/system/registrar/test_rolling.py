"""Deployments that roll, with real processes and a sandbox that sends all the while.

With the same URL, twenty times, COMMAND is a small server that acknowledges all: who is registered
is what matters there. With a new URL each time, and where the old replica is ended at the new one's first 200, as an
orchestrator does it, it is the listener itself.
"""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.polling import wait_until
from testbed.registrar_process import (
    REGISTRAR,
    TOKEN,
    sending,
    settings,
    settled,
    wait_until_registered,
)
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service
from testbed.tcp_proxy import TcpProxy

pytestmark = pytest.mark.slow

ROLLS = 20
# More of them by hand: ROLLS_AT_FIRST_200=20 python -m pytest tests/system/registrar/test_rolling.py
ROLLS_AT_FIRST_200 = int(os.environ.get("ROLLS_AT_FIRST_200", "4"))
ACKNOWLEDGER = """
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Acknowledge(BaseHTTPRequestHandler):
    def do_GET(self):
        if "X-Probe-Nonce" in self.headers:
            time.sleep(float(os.environ.get("HANG_S", "0")))
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


def roll(sandbox: Sandbox, old: Service, new: Service, balancer: TcpProxy) -> None:
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
    with Sandbox() as sandbox, TcpProxy().running() as balancer, ExitStack() as stack:
        public = f"{balancer.url}/cb" if same_url else None
        old = stack.enter_context(instance(sandbox, tmp_path, redis_url, public))
        balancer.target_port = old.port
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


@pytest.mark.parametrize(
    ("probe", "hangs"),
    [("off", False), ("warn", True), ("require", False)],
    ids=["off", "warn-and-hang", "require"],
)
def test_the_old_replica_may_end_at_the_first_200_of_the_new_one(
    probe: str, hangs: bool, redis_url: str, tmp_path: Path
) -> None:
    """Where the URL cannot be reached from inside (no hairpin NAT), the probe hangs for its whole time limit."""
    command = STAND_IN if hangs else SUPERVISED
    with Sandbox() as sandbox, TcpProxy().running() as balancer, ExitStack() as stack:

        def replica() -> Service:
            service = Service(*command, **settings(sandbox, tmp_path, REDIS_URL=redis_url))
            service.settings |= {
                "PUBLIC_URL": f"{balancer.url}/cb",
                "REGISTRAR_PROBE": probe,
                "HANG_S": "6" if hangs else "0",
            }
            stack.push(service)
            return service

        old = replica()
        old.start()
        balancer.target_port = old.port
        wait_until_registered(old)
        before: list[Service] = []
        with sending(sandbox, every_s=0.05):
            for _ in range(ROLLS_AT_FIRST_200):
                new = replica()
                new.start()
                wait_until(new.ready, new.log)
                balancer.switch(new.port)
                old.signal(signal.SIGTERM)
                before.append(old)
                old = new
            for one in before:
                assert one.wait() == 0, one.log()
        wait_until(lambda: settled(sandbox))
        history = sandbox.registrations()["history"]
        assert all(entry["url"] for entry in history), history
        assert set(sandbox.counts().items()) >= {("lost", 0), ("unregistered", 0)}
        assert sandbox.counts()["acknowledged"] > ROLLS_AT_FIRST_200


def test_the_old_replica_receives_until_a_new_url_is_registered_whose_probe_hangs(
    redis_url: str, tmp_path: Path
) -> None:
    with Sandbox() as sandbox, ExitStack() as stack:

        def replica() -> Service:
            service = Service(*STAND_IN, **settings(sandbox, tmp_path, REDIS_URL=redis_url))
            service.settings |= {"REGISTRAR_PROBE": "warn", "HANG_S": "3"}
            stack.push(service)
            service.start()
            return service

        old = replica()
        wait_until_registered(old)
        with sending(sandbox, every_s=0.05):
            new = replica()
            wait_until(new.ready, new.log)
            old.signal(signal.SIGTERM)
            assert old.wait() == 0, old.log()
            wait_until_registered(new)
        wait_until(lambda: settled(sandbox))
        assert all(entry["url"] for entry in sandbox.registrations()["history"])
        assert set(sandbox.counts().items()) >= {("lost", 0), ("unregistered", 0)}
