"""The service from boot to shutdown with the sandbox sending all the while: nothing is lost."""

import json
from typing import Any

import redis

from tests.registrar_process import sending
from tests.sandbox_process import Sandbox
from tests.service_process import SUPERVISED, Service, wait_until

LOGIN = {"CALLBACK_USERNAME": "listener", "CALLBACK_PASSWORD": "correct-horse-battery"}
EVERY_S = 0.05


def test_what_was_acknowledged_up_to_the_exit_is_in_redis(redis_url: str) -> None:
    # Duplicates of slow answers are not this test's subject, and the machine may be busy.
    with Sandbox(duplicate_after=20) as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with (
            Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service,
            sending(sandbox, every_s=EVERY_S),
        ):
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
    ids = [fields["id"] for _, fields in found]
    kept = [d["id"] for d in deliveries if d["result"] == "acknowledged"]
    assert len(ids) == len(set(ids)) == len(kept)
    assert not [d for d in deliveries if d["result"] == "lost"]
    refused = [a for d in deliveries for a in d["attempts"] if a["status"] != 200]
    assert not [a for a in refused if a["started"] < delete["started"]]


def test_what_was_sent_before_the_delete_and_comes_after_it_is_received(redis_url: str) -> None:
    with Sandbox() as sandbox:
        settings = {**LOGIN, **sandbox.environment(), "REDIS_URL": redis_url}
        with Service(*SUPERVISED, **settings, REGISTRAR_PROBE="off") as service:
            wait_until(lambda: sandbox.registered_url() == f"{service.url}/cb", service.log)
            service.signal()
            wait_until(lambda: sandbox.requests(method="DELETE"), service.log)
            late = {"username": "listener", "password": LOGIN["CALLBACK_PASSWORD"], "n": 1}
            assert service.post(json.dumps(late)).status_code == 200
            assert service.wait() == 0, service.log()


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
