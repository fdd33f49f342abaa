"""Programs that consume, as users write them: killed, poisoned, told to stop."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import pytest

from testbed.log_reader import LogReader
from testbed.polling import wait_until
from tests.support.consumer_feed import STREAM, Program, feed

ROOT = Path(__file__).parents[3]
GROUP = "billing"
DEAD = f"{{fota:0}}:dead:{GROUP}"
# The full size is 100000; the suite's is enough to have both in the middle of their work.
QUICK = 5000
MESSAGES = int(os.environ.get("CONSUMER_MESSAGES", QUICK))
BATCH = 100

# What a handler did is in the log before it returns, whatever becomes of the process.
PROGRAM = """
{first}
import os, time
from listener.consumer import Backoff, Consumer
consumer = Consumer.from_env(
    group="billing", takeover_idle_s={idle_s}, batch=100, block_s=0.1, backoff=Backoff(0.05),
    {options}
)
@consumer.on()
def handler(message):
    os.write(1, b"got %s %d\\n" % (message.reason.encode(), message.deliveries))
    {then}
consumer.run()
print("returned")
"""


def program(
    redis_url: str, *, idle_s: float = 0.4, then: str = "", options: str = "", first: str = ""
) -> Program:
    source = PROGRAM.format(idle_s=idle_s, then=then or "pass", options=options, first=first)
    return Program(source, REDIS_URL=redis_url)


def got(*programs: Program) -> Counter[int]:
    lines = [line for each in programs for line in each.lines_after("got")]
    return Counter(int(line.split()[0]) for line in lines)


def pending(client: Any) -> int:
    return int(client.xpending(STREAM, GROUP)["pending"])


def unread(client: Any) -> int:
    (row,) = client.xinfo_groups(STREAM)
    return len(client.xrange(STREAM, f"({row['last-delivered-id']}", count=1))


def readme_example() -> str:
    section = (ROOT / "README.md").read_text().partition("\n## Reading the queue\n")[2]
    block = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert block
    return block[1]


def test_the_readmes_example_has_ten_lines_at_most_and_runs_as_printed(
    redis_url: str, redis_client: Any
) -> None:
    example = readme_example()
    assert len(example.splitlines()) <= 10
    feed(redis_client, [1], upgrade="60b5d639")
    sample = {"kind": "upgrade-started", "type": "com.verizon.thingspace.fota.upgradeProgress"}
    feed(redis_client, [2], **sample)
    with Program(example, REDIS_URL=redis_url) as run:
        wait_until(lambda: "upgrade-started" in run.log() or run.ended(), run.log)
        feed(redis_client, [3], upgrade="later")
        wait_until(lambda: "later UpgradeSuccess" in run.log() or run.ended(), run.log)
        assert "60b5d639 UpgradeSuccess" in run.log()
        wait_until(lambda: pending(redis_client) == 0)
        run.signal()
        assert run.wait() == 0
        assert "Traceback" not in run.log()


@pytest.mark.slow
def test_one_of_two_is_killed_and_every_message_is_handled_and_at_most_a_batch_twice(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    for start in range(0, MESSAGES, 1000):
        feed(redis_client, range(start, min(start + 1000, MESSAGES)))
    # Both have begun before either goes on, and a small run lasts long enough for a kill within it.
    gate = tmp_path / "gate"
    pause_s = 0.0005 if MESSAGES <= QUICK else 0
    wait = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n    time.sleep({pause_s})"
    with ExitStack() as stack:
        killed, survivor = (stack.enter_context(program(redis_url, then=wait)) for _ in range(2))
        wait_until(lambda: got(killed) and got(survivor), survivor.log)
        gate.touch()
        wait_until(lambda: got(killed).total() >= MESSAGES // 5, survivor.log)
        killed.signal(signal.SIGKILL)
        killed.wait()
        assert unread(redis_client), "it was killed in the middle"
        wait_until(lambda: not unread(redis_client) and not pending(redis_client), survivor.log)
        counts = got(killed, survivor)
        assert set(counts) == set(range(MESSAGES))
        assert max(counts.values()) <= 2
        twice = [number for number, count in counts.items() if count > 1]
        assert len(twice) <= BATCH
        click.echo(f"{len(counts)} messages handled, {len(twice)} of them twice")
        survivor.signal()
        assert survivor.wait() == 0


def test_poison_that_kills_the_process_is_dead_in_the_end_and_no_other_message_with_it(
    redis_url: str, redis_client: Any
) -> None:
    feed(redis_client, range(50))
    poison = "if message.reason == '20': os._exit(9)"
    with program(redis_url, idle_s=0.2, then=poison, options="max_deliveries=3") as run:
        for _ in range(3):
            assert run.wait() == 9, run.log()
            run.start()
        wait_until(lambda: redis_client.xlen(DEAD) and not pending(redis_client), run.log)
        ((_, dead),) = redis_client.xrange(DEAD)
        counts = got(run)
        run.signal()
        assert run.wait() == 0
    assert (dead["reason"], dead["deliveries"], dead["subject"]) == ("crashed", "3", "u-20")
    assert set(counts) == set(range(50))
    assert counts[20] == 3


def test_what_is_dead_is_handled_after_an_operator_requeued_it(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"
    broken = f"if message.reason == '3' and not os.path.exists({str(mended)!r}): raise LookupError"
    feed(redis_client, range(10))
    with program(redis_url, then=broken, options="max_deliveries=3,") as run:
        wait_until(lambda: redis_client.xlen(DEAD) == 1, run.log)
        assert not pending(redis_client), "all others are acknowledged"
        assert got(run) == {number: 3 if number == 3 else 1 for number in range(10)}
        mended.touch()
        listener = [sys.executable, "-m", "listener"]
        environment = {"PATH": os.environ["PATH"], "REDIS_URL": redis_url}
        requeued = subprocess.run(
            [*listener, "dead", "requeue", "--group", GROUP, "--all", "--yes"],
            cwd=ROOT,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert requeued.returncode == 0, requeued.stderr
        wait_until(lambda: got(run)[3] == 4, run.log)
        wait_until(lambda: not pending(redis_client))
        run.signal()
        assert run.wait() == 0
    assert redis_client.xlen(DEAD) == 0


def test_a_signal_hands_back_what_is_not_done_and_the_next_program_does_it_at_once(
    redis_url: str, redis_client: Any
) -> None:
    feed(redis_client, range(20))
    slow = "time.sleep(60 if message.reason == '5' else 0)"
    with program(redis_url, idle_s=60, then=slow, options="shutdown_s=0.2,") as run:
        wait_until(lambda: 5 in got(run), run.log)
        run.signal()
        assert run.wait() == 0
        assert "returned" in run.log()
    with program(redis_url, idle_s=60) as following:
        wait_until(lambda: set(got(following)) >= set(range(5, 20)), following.log)
        wait_until(lambda: not pending(redis_client))
        following.signal(signal.SIGINT)
        assert following.wait() == 0
        assert "Traceback" not in following.log()


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
    redis_url: str, redis_client: Any, number: signal.Signals
) -> None:
    feed(redis_client, [1])
    with program(redis_url, then="time.sleep(60)", options="shutdown_s=60,") as run:
        wait_until(lambda: got(run), run.log)
        run.signal(number)
        wait_until(lambda: "consumer stopping" in run.log(), run.log)
        run.signal(number)
        assert run.wait(10) == 0


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "first",
    [
        "",
        "from listener import logs; logs.configure('json', 'info')",
        "from gevent import monkey; monkey.patch_all()",
    ],
    ids=["nothing configured", "our logs", "under gevent"],
)
def test_consumer_whose_log_nobody_reads_handles_every_message_and_ends(
    redis_url: str, redis_client: Any, first: str
) -> None:
    feed(redis_client, range(50))
    run = program(
        redis_url, then="raise ValueError('x' * 500)", options="max_deliveries=2", first=first
    )
    with LogReader() as reader:
        reader.fill()
        run.stderr = reader.writer
        with run:
            wait_until(lambda: redis_client.xlen(DEAD) == 50, run.log)
            run.signal()
            assert run.wait() == 0


HANGING = """
import asyncio, time
from listener.consumer import Consumer
consumer = Consumer.from_env(group="billing", block_s=0.1, shutdown_s=0.2, concurrency=3)
@consumer.on()
async def handler(message):
    print("got", message.reason)
    await {hangs}
async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
consumer.run()
print("returned")
"""


@pytest.mark.parametrize(
    "hangs", ["asyncio.sleep(3600)", "asyncio.to_thread(time.sleep, 3600)", "stubborn()"]
)
def test_program_ends_at_sigterm_although_its_async_handlers_hang(
    redis_url: str, redis_client: Any, hangs: str
) -> None:
    feed(redis_client, range(5))
    with Program(HANGING.format(hangs=hangs), REDIS_URL=redis_url) as consumer:
        wait_until(lambda: len(consumer.lines_after("got")) == 3, consumer.log)
        consumer.signal()
        # Within the bound of the document, and what a busy machine takes.
        assert consumer.wait(15) == 0
        assert "returned" in consumer.log()
    # Nothing was counted, and everything can be taken over at once.
    rows = redis_client.xpending_range(STREAM, GROUP, "-", "+", 9)
    assert [(row["consumer"], row["times_delivered"]) for row in rows] == [("handed-back", 0)] * 5
