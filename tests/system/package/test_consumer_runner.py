"""`fota consume` as a team installs it: the wheel in an environment of its own, a module outside the checkout."""

import os
import re
import signal
from collections import Counter
from typing import Any

import click
import pytest

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.process import ChildProcess
from tests.support.consumer_feed import feed
from tests.support.installations import Environment
from tests.support.runner_watch import Watch

pytestmark = [pytest.mark.slow, pytest.mark.installs]

# The full size is 100000; the suite's is enough to kill a process in the middle.
QUICK = 4000
MESSAGES = int(os.environ.get("CONSUMER_MESSAGES", QUICK))
BATCH = 100
USERS_MODULE = """\
import os
import time

from listener.consumer import Consumer

consumer = Consumer.from_env(group="billing", takeover_idle_s=2, batch=100)


@consumer.on("upgrade-finished")
def finished(message):
    os.write(1, b"got %s\\n" % message.reason.encode())
    time.sleep({pause_s})
"""


def test_installed_runner_loses_nothing_and_reports_right_while_a_process_is_killed(
    environment: Environment, redis_url: str, redis_client: Any
) -> None:
    (environment.outside / "mymodule.py").write_text(
        USERS_MODULE.format(pause_s=0.001 if MESSAGES <= QUICK else 0)
    )
    for start in range(0, MESSAGES, 1000):
        feed(redis_client, range(start, min(start + 1000, MESSAGES)))
    port = free_port()
    words = ("consume", "mymodule:consumer", "--processes", "2", "--metrics-bind")
    runner = ChildProcess(
        *(environment.bin / "fota", *words, f"127.0.0.1:{port}"),
        environ=environment.environ(REDIS_URL=redis_url),
    )
    runner.folder = environment.outside
    watch = Watch(port)
    with runner:
        wait_until(lambda: "metrics and health" in runner.log() or runner.ended(), runner.log)
        wait_until(lambda: watch.look().handled > MESSAGES // 5, runner.log)
        first, _ = runner.family()[1:]
        os.kill(first.pid, signal.SIGKILL)
        wait_until(lambda: watch.look().before[0] == 503, runner.log)
        assert watch.samples[-1].handled < MESSAGES, "it was killed in the middle"
        wait_until(lambda: _is_done(watch, redis_client), runner.log)
        assert runner.stop() == 0, runner.log()
        log = runner.log()
    got = Counter(int(number) for number in re.findall(r"got (\d+)\n", log))
    assert set(got) == set(range(MESSAGES))
    twice = got.total() - MESSAGES
    assert twice <= BATCH
    _check_reports(watch, got.total())
    click.echo(f"{MESSAGES} messages, {twice} of them twice; {len(watch.samples)} scrapes")


def _is_done(watch: Watch, client: Any) -> bool:
    """Whether everything is acknowledged, and both processes run again."""
    [group] = client.xinfo_groups("{fota:0}:messages")
    sample = watch.look()
    rest = group["pending"] + int(sample.total("fota_group_lag_messages"))
    return not rest and sample.is_healthy and sample.total("fota_consumer_process_up") == 2


def _check_reports(watch: Watch, deliveries: int) -> None:
    """Health and metrics were right all the while.

    What the process that was killed had handled and not acknowledged may not be counted: it was handled again.
    """
    assert watch.went_backwards() == []
    assert watch.contradictions() == []
    last = watch.samples[-1]
    assert MESSAGES <= last.handled <= deliveries
    assert last.total("fota_consumer_process_restarts_total") == 1
    missing = [
        one for one in watch.samples if "was ended by SIGKILL" in one.before[1] + one.after[1]
    ]
    assert missing
    assert not any(
        one.is_healthy for one in watch.samples if one.total("fota_consumer_process_up") < 2
    )
