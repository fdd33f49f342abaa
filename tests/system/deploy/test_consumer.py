"""A consumer as the compose file and the manifests start it: the program in the image's folder, beside the library."""

import os
import shutil
from pathlib import Path

import pytest
import redis

from testbed.polling import wait_until
from testbed.process import BIN, ROOT, ChildProcess
from tests.support import deploy_files
from tests.support.consumer_feed import STREAM, feed

PROGRAM = """\
from listener.consumer import Consumer

consumer = Consumer.from_env(group="billing")


@consumer.on()
def handle(message):
    print("handled", message.kind, flush=True)


consumer.run()
"""


def compose_command() -> list[str]:
    return list(deploy_files.compose()["services"]["consumer"]["command"])


def pod_command() -> list[str]:
    pod = deploy_files.manifest("Deployment", "thingspace-fota-consumer")["spec"]["template"]
    return list(pod["spec"]["containers"][0]["command"])


@pytest.mark.parametrize("source", ["variable", "file"])
def test_consumer_handles_a_message_and_stops_in_time(
    source: str, redis_url: str, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    assert compose_command() == pod_command()
    folder = tmp_path / "app"
    shutil.copytree(ROOT / "listener", folder / "listener")
    (folder / "consumer.py").write_text(PROGRAM)
    (tmp_path / "url").write_text(f"{redis_url}\n")
    given = {"variable": {"REDIS_URL": redis_url}, "file": {"REDIS_URL_FILE": f"{tmp_path}/url"}}
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", **given[source]}
    feed(redis_client, [1])
    consumer = ChildProcess(*pod_command(), environ=environ)
    consumer.folder = folder
    with consumer:
        wait_until(lambda: "handled upgrade-finished" in consumer.log(), consumer.log)
        assert consumer.stop() == 0, consumer.log()
    assert redis_client.xpending(STREAM, "billing")["pending"] == 0
