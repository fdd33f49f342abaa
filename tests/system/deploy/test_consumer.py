"""A consumer as the compose file and the manifests start it: its module in the image's folder, beside the library."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import redis
import requests

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.process import BIN, ROOT, ChildProcess
from tests.support import deploy_files
from tests.support.consumer_feed import STREAM, feed

PROGRAM = """\
from listener.consumer import Consumer

consumer = Consumer.from_env(group="billing")


@consumer.on()
def handle(message):
    print("handled", message.kind, flush=True)
"""
PORT = 9465


def compose_words(name: str, port: int) -> list[str]:
    service = deploy_files.compose()["services"]["consumer"]
    words = {"command": service["command"], "check": service["healthcheck"]["test"][1:]}[name]
    return [word.replace(f":{PORT}", f":{port}") for word in words]


@pytest.mark.parametrize("source", ["variable", "file"])
def test_consumer_handles_a_message_and_stops_in_time(
    source: str, redis_url: str, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    port = free_port()
    folder = tmp_path / "app"
    shutil.copytree(ROOT / "listener", folder / "listener")
    (folder / "consumer.py").write_text(PROGRAM)
    (tmp_path / "url").write_text(f"{redis_url}\n")
    given = {"variable": {"REDIS_URL": redis_url}, "file": {"REDIS_URL_FILE": f"{tmp_path}/url"}}
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", **given[source]}
    feed(redis_client, [1])
    consumer = ChildProcess(*compose_words("command", port), environ=environ)
    consumer.folder = folder
    check = compose_words("check", port)
    with consumer:
        wait_until(lambda: "handled upgrade-finished" in consumer.log(), consumer.log)
        probe = deploy_files.consumer_container()["livenessProbe"]["httpGet"]["path"]
        assert requests.get(f"http://127.0.0.1:{port}{probe}", timeout=5).status_code == 200
        wait_until(lambda: subprocess.run(check, env=environ, check=False).returncode == 0)
        assert consumer.stop() == 0, consumer.log()
    assert redis_client.xpending(STREAM, "billing")["pending"] == 0
