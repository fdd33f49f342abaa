"""Deployments that roll, with real processes and a sandbox that sends all the while.

COMMAND is the listener itself, or, where there are many rolls or the probe hangs, a small server that acknowledges all.
"""

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from testbed.polling import wait_until
from testbed.proxies.tcp_proxy import TcpProxy
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

pytestmark = pytest.mark.slow

# More of them by hand: ROLLS=20 python -m pytest tests/system/registrar/test_rolling.py
ROLLS = int(os.environ.get("ROLLS", "2"))
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


def observed_urls(client: "redis.Redis") -> set[str]:
    """The URLs that the stored observations name, each as far as it may be shown."""
    stored: Any = client.hvals("{fota:registrar}:observations")
    return {json.loads(text)["registered_url"] for text in stored}


@pytest.mark.parametrize(
    ("command", "same_url", "probe", "hang_s", "rolls"),
    [
        (STAND_IN, True, "warn", 0, 2 * ROLLS),
        (STAND_IN, True, "warn", 6, ROLLS),
        (SUPERVISED, True, "off", 0, ROLLS),
        (SUPERVISED, True, "require", 0, ROLLS),
        (SUPERVISED, False, "warn", 0, ROLLS),
    ],
    ids=["often", "probe-hangs", "no-probe", "probe-required", "new-url"],
)
def test_rolling_deployment_is_registered_throughout_and_loses_no_message(
    *,
    command: tuple[str, ...],
    same_url: bool,
    probe: str,
    hang_s: int,
    rolls: int,
    redis_url: str,
    redis_client: "redis.Redis",
    tmp_path: Path,
) -> None:
    """Each old replica is ended at the first 200 of the new one's /readyz, as an orchestrator does it.

    Where the URL cannot be reached from inside (no hairpin NAT), the probe hangs for its whole time limit.
    """
    with Sandbox() as sandbox, TcpProxy().running() as balancer, ExitStack() as stack:

        def replica() -> Service:
            service = Service(*command, **settings(sandbox, tmp_path, REDIS_URL=redis_url))
            service.settings |= {"REGISTRAR_PROBE": probe, "HANG_S": str(hang_s)}
            if same_url:
                service.settings["PUBLIC_URL"] = f"{balancer.url}/cb"
            stack.push(service)
            service.start()
            return service

        old = replica()
        balancer.target_port = old.port
        wait_until_registered(old)
        ended: list[Service] = []
        with sending(sandbox, every_s=0.05):
            for _ in range(rolls):
                new = replica()
                wait_until(new.ready, new.log)
                balancer.switch(new.port)
                # Its end is not waited for: the next one starts while it still drains.
                old.signal(signal.SIGTERM)
                ended.append(old)
                old = new
            for each in ended:
                assert each.wait() == 0, each.log()
            wait_until_registered(old)
        wait_until(lambda: settled(sandbox))
        assert set(sandbox.counts().items()) >= {("lost", 0), ("unregistered", 0), ("pending", 0)}
        assert sandbox.counts()["acknowledged"] > rolls
        attempts = [each for delivery in sandbox.deliveries() for each in delivery["attempts"]]
        assert {attempt["kind"] for attempt in attempts} == {"first"}, "no message came twice"
        history = sandbox.registrations()["history"]
        assert all(entry["url"] for entry in history), history
        assert len(history) == (1 if same_url else 1 + rolls), history
        assert sandbox.registered_url() == f"{old.settings['PUBLIC_URL']}/{TOKEN}"
        assert observed_urls(redis_client) == {f"{old.settings['PUBLIC_URL']}/***"}

        old.signal(signal.SIGTERM)
        assert old.wait() == 0, old.log()
        assert sandbox.registrations()["history"][len(history) :][0]["cause"] == "DELETE"
        assert len(sandbox.requests(path="/api/fota", method="DELETE")) == 1
        assert sandbox.requests(path="/api/fota")[-1]["method"] == "GET"
        assert observed_urls(redis_client) == {None}


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
