"""`fota consume`: processes that are killed, health and metrics meanwhile, and its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.process import ROOT, ChildProcess
from tests.support.consumer_feed import STREAM, feed

MESSAGES = 3000
BATCH = 100
PROGRAM = """
import os, time
from listener.consumer import Consumer
consumer = Consumer.from_env(group="billing", takeover_idle_s=1, batch=100, {options})
@consumer.on({on})
{define} handler(message):
    os.write(1, b"got %s %d\\n" % (message.reason.encode(), os.getpid()))
    {then}
"""


class Runner(ChildProcess):
    """`fota consume` of a module in a folder of its own."""

    def __init__(self, folder: Path, redis_url: str, *words: str, **program: str) -> None:
        source = PROGRAM.format(
            **{"options": "", "on": "", "define": "def", "then": "pass", **program}
        )
        (folder / "billing.py").write_text(source)
        self.port = free_port()
        bind = f"127.0.0.1:{self.port}"
        super().__init__(
            *(sys.executable, "-m", "listener", "consume", "billing:consumer"),
            *("--metrics-bind", bind, *words),
            environ={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "REDIS_URL": redis_url,
            },
        )
        self.folder = folder

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_healthy(self) -> bool:
        return self.get("/healthz")[0] == 200

    def total(self, name: str) -> float:
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.split()[1]) for line in lines if re.match(rf"{name}[ {{]", line))

    def got(self) -> Counter[int]:
        return Counter(int(number) for number in re.findall(r"got (\d+) \d+\n", self.log()))

    def processes(self) -> list[int]:
        """The pids of the consumers that run now, by their names in the log."""
        pids = map(int, re.findall(r'"consumer":"[^"]*-(\d+)-[0-9a-f]+"', self.log()))
        return [pid for pid in dict.fromkeys(pids) if is_alive(pid)]


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def running(runner: Runner) -> Iterator[Runner]:
    with runner:
        wait_until(lambda: runner.is_healthy() or runner.ended(), runner.log)
        yield runner


def pending(client: Any) -> int:
    return int(client.xpending(STREAM, "billing")["pending"])


def test_killed_process_is_replaced_and_every_message_handled_and_counted(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    health = tmp_path / "health"
    runner = Runner(
        tmp_path, redis_url, "--processes", "2", "--health-file", str(health),
        then="time.sleep(0.0005)",
    )  # fmt: skip
    with running(runner):
        wait_until(health.exists, runner.log)
        first, second = runner.processes()
        feed(redis_client, range(MESSAGES))
        wait_until(lambda: runner.got().total() > MESSAGES // 10, runner.log)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: runner.get("/healthz")[0] == 503, runner.log)
        assert "was ended by SIGKILL" in runner.get("/healthz")[1] or not runner.is_healthy()
        wait_until(lambda: len(runner.got()) == MESSAGES, runner.log)
        wait_until(lambda: not pending(redis_client), runner.log)
        wait_until(runner.is_healthy, runner.log)
        counts = runner.got()
        assert set(counts) == set(range(MESSAGES))
        twice = counts.total() - MESSAGES
        assert twice <= BATCH
        handled = runner.total("fota_consumer_handled_seconds_count")
        # What the one that was killed had not acknowledged was handled, and counted, again.
        assert MESSAGES <= handled <= counts.total()
        assert runner.total("fota_consumer_process_restarts_total") == 1
        assert runner.total("fota_consumer_process_up") == 2
        assert runner.total("fota_group_lag_messages") == 0
        wait_until(lambda: runner.total("fota_consumer_in_hand_messages") == 0, runner.log)
        processes = runner.processes()
        runner.signal()
        assert runner.wait() == 0
        assert second in processes
        assert not any(map(is_alive, processes))
        assert not health.exists()


def test_processes_end_when_their_supervisor_is_killed(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    with running(Runner(tmp_path, redis_url, "--processes", "2")) as runner:
        processes = runner.processes()
        assert len(processes) == 2
        runner.signal(signal.SIGKILL)
        runner.wait()
        wait_until(lambda: not any(map(is_alive, processes)), runner.log)


def test_second_signal_ends_it_at_once(redis_url: str, redis_client: Any, tmp_path: Path) -> None:
    runner = Runner(tmp_path, redis_url, then="time.sleep(60)", options="shutdown_s=60")
    with running(runner):
        feed(redis_client, [1])
        wait_until(lambda: runner.got()[1] == 1, runner.log)
        runner.signal()
        wait_until(lambda: "consumer stopping" in runner.log(), runner.log)
        assert "stopping" in runner.get("/healthz")[1]
        runner.signal()
        assert runner.wait(20) == 0


@pytest.mark.parametrize("define", ["def", "async def"])
def test_process_that_keeps_a_handler_beyond_its_time_is_replaced(
    redis_url: str, redis_client: Any, tmp_path: Path, define: str
) -> None:
    """An async handler that blocks the event loop cannot be cancelled."""
    runner = Runner(
        tmp_path, redis_url, on="timeout_s=0.2", options="shutdown_s=0.2, max_deliveries=2",
        then="time.sleep(60 if message.reason == '7' else 0)", define=define,
    )  # fmt: skip
    with running(runner):
        feed(redis_client, range(10))
        wait_until(lambda: "process replaced" in runner.log(), runner.log)
        wait_until(lambda: redis_client.xlen("{fota:0}:dead:billing") == 1, runner.log)
        wait_until(lambda: set(runner.got()) == set(range(10)), runner.log)
        assert runner.got()[7] == 2
        [(_, letter)] = redis_client.xrange("{fota:0}:dead:billing")
        assert (letter["reason"], letter["deliveries"]) == ("timed-out", "2")
        assert "handler overdue" in runner.log()


def test_hangup_restarts_the_processes_one_after_the_other(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    with running(Runner(tmp_path, redis_url, "--processes", "2")) as runner:
        before = set(runner.processes())
        runner.signal(signal.SIGHUP)
        wait_until(
            lambda: len(runner.processes()) == 2 and not before & set(runner.processes()),
            runner.log,
        )
        wait_until(runner.is_healthy, runner.log)


@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ("nothing_here:consumer", 2, "there is no module nothing_here"),
        ("broken:consumer", 1, "ZeroDivisionError"),
    ],
)
def test_mistake_ends_it_with_one_message(
    tmp_path: Path, target: str, status: int, says: str
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    done = subprocess.run(
        [sys.executable, "-m", "listener", "consume", target, "--processes", "3"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_LEVEL": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert done.stderr.count(says) == 1
    assert done.stderr.startswith("Error: ")


def test_address_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "listener", "consume", "a:b", "--metrics-bind", address],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: {address} cannot be bound: Address already in use\n",
    )


def test_signal_to_all_processes_at_once_lets_the_handler_finish(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    then = "time.sleep(1); os.write(1, b'finished\\n')"
    with running(Runner(tmp_path, redis_url, then=then)) as runner:
        feed(redis_client, [1])
        wait_until(lambda: runner.got()[1] == 1, runner.log)
        # As Heroku does.
        for process in runner.family():
            process.send_signal(signal.SIGTERM)
        assert runner.wait() == 0
        assert "finished" in runner.log()
        assert not pending(redis_client)


def test_changed_file_restarts_it(redis_url: str, redis_client: Any, tmp_path: Path) -> None:
    with running(Runner(tmp_path, redis_url, "--reload")) as runner:
        module = tmp_path / "billing.py"
        source = module.read_text()
        module.write_text(f"{source}\n(")
        wait_until(lambda: "waiting for a change" in runner.log(), runner.log)
        assert runner.log().count("SyntaxError") == 1
        module.write_text(source.replace("got %s", "new %s"))
        wait_until(runner.is_healthy, runner.log)
        feed(redis_client, [1])
        wait_until(lambda: "new 1 " in runner.log(), runner.log)
        assert json.loads(runner.get("/healthz")[1]) == {"status": "ok"}
