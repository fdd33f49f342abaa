"""The service from boot to shutdown with the sandbox sending all the while: nothing is lost."""

import threading
from typing import Any

import redis

from tests.sandbox_process import Sandbox
from tests.service_process import SUPERVISED, Service, wait_until

LOGIN = {"CALLBACK_USERNAME": "listener", "CALLBACK_PASSWORD": "correct-horse-battery"}
EVERY_S = 0.05


class Sender:
    """Has the sandbox send a new message every 50 ms until it is stopped."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(EVERY_S):
            number += 1
            upgrade = {"upgradeId": f"u-{number}", "status": "InProgress"}
            self._sandbox.send(
                {
                    "accountName": self._sandbox.account,
                    "type": "upgradeProgress",
                    "upgradeProgress": upgrade,
                }
            )


def test_what_was_acknowledged_up_to_the_exit_is_in_redis(redis_url: str) -> None:
    # Duplicates of slow answers are not this test's subject, and the machine may be busy.
    with Sandbox(duplicate_after=20) as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service, Sender(sandbox):
            wait_until(lambda: acknowledged(sandbox) >= 30, service.log)
            service.signal()
            assert service.wait() == 0, service.log()
            wait_until(lambda: sandbox.deliveries()[-1]["result"] == "unregistered")
        wait_until(lambda: sandbox.counts()["pending"] == 0)
        deliveries = sandbox.deliveries()
        [delete] = sandbox.requests(method="DELETE")
        assert sandbox.registered_url() is None

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        found: Any = client.xrange("{fota:0}:messages")
    subjects = [fields["subject"] for _, fields in found]
    kept = [d["id"] for d in deliveries if d["result"] == "acknowledged"]
    assert len(subjects) == len(set(subjects)) == len(kept)
    assert not [d for d in deliveries if d["result"] == "lost"]
    refused = [a for d in deliveries for a in d["attempts"] if a["status"] != 200]
    assert not [a for a in refused if a["started"] < delete["started"]]


def acknowledged(sandbox: Sandbox) -> int:
    return sandbox.counts()["acknowledged"]


def test_it_registers_only_when_it_can_receive_and_stops_only_when_nobody_sends(
    redis_url: str,
) -> None:
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url, "LOG_FORMAT": "text"}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            assert service.ready(), "registered, so it can receive"
            service.signal()
            assert service.wait() == 0
            log = service.log()
        methods = [call["method"] for call in sandbox.requests(path="/api/fota")]
    assert methods[0] == "GET", "the registration is read before it is written"
    assert methods.count("POST") == methods.count("DELETE") == 1
    assert log.index("deregistered") < log.index("Handling signal: term")
