"""A message that Redis refuses by itself: an operator finds it, removes the cause, and has it moved."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from testbed.polling import wait_until
from testbed.process import ROOT
from testbed.service import RECEIVER, Service

pytestmark = pytest.mark.slow

LIMIT = "1048576"


def fota(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "listener", *words],
        cwd=ROOT, env=service.settings, capture_output=True, text=True, check=False,
    )  # fmt: skip


def listed(service: Service) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for line in fota(service, "spool", "list", "--json").stdout.split("\n")
        if line
    ]


def test_message_that_redis_refuses_is_found_and_moved_after_its_cause_is_gone(
    tmp_path: Path, redis_server: str
) -> None:
    with redis.Redis.from_url(redis_server, decode_responses=True) as client:
        client.flushall()
        client.config_set("proto-max-bulk-len", LIMIT)
        try:
            settings = {"ALLOW_ANY_SENDER": "true", "SPOOL_DIR": str(tmp_path / "spool")}
            with Service(*RECEIVER, REDIS_URL=redis_server, **settings) as service:
                service.wait_until_ready()
                large = service.post(json.dumps({"type": "new", "padding": "x" * 1_500_000}))
                assert large.status_code == 200, service.log()
                small = service.post(json.dumps({"type": "new", "n": 1}))
                wait_until(
                    lambda: [one["state"] for one in listed(service)] == ["set-aside"], service.log
                )
                [refused] = listed(service)
                assert refused["id"] == large.json()["id"]
                assert small.json()["id"] in str(client.xrange("{fota:0}:messages"))
                assert fota(service, "check").returncode == 1
                metrics = requests.get(f"{service.ops_url}/metrics", timeout=10).text
                assert "\nfota_spool_set_aside_messages 1.0" in metrics
                page = requests.get(f"{service.ops_url}/", timeout=10).text
                assert "1 message set aside on this host" in page
                client.config_set("proto-max-bulk-len", "536870912")
                assert fota(service, "spool", "retry", "--all").returncode == 0
                wait_until(
                    lambda: refused["id"] in str(client.xrange("{fota:0}:messages")), service.log
                )
                wait_until(lambda: listed(service) == [], service.log)
        finally:
            client.config_set("proto-max-bulk-len", "536870912")
