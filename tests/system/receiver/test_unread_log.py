"""The service while nobody reads its log: it receives, replaces workers, registers and ends as always."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from testbed.log_reader import LogReader
from testbed.polling import wait_until
from testbed.registrar_process import settings as registrar_settings
from testbed.sandbox_client import Sandbox
from testbed.service import RECEIVER, SUPERVISED, Service

LOGIN = {"username": "listener", "password": "correct-horse-battery"}
PROOF = {"CALLBACK_USERNAME": LOGIN["username"], "CALLBACK_PASSWORD": LOGIN["password"]}
SENDERS = 5
# A message has a line of some 250 bytes; the pipe takes 4 KiB.
EACH = 40
LOST = "fota_log_lines_lost_total"


@pytest.fixture
def reader() -> Iterator[LogReader]:
    with LogReader() as reader:
        yield reader


def receiver(redis_url: str, reader: LogReader, *command: str, **settings: str) -> Service:
    """The receiver with one worker, whose log goes to the reader."""
    more = {"WEB_CONCURRENCY": "1", **settings}
    service = Service(*(command or RECEIVER), **PROOF, REDIS_URL=redis_url, **more)
    service.stderr = reader.writer
    return service


def answers(service: Service, each: int = EACH) -> list[int]:
    """The answers to messages of five senders at once, each of which has one connection."""

    def send(sender: int) -> list[int]:
        with requests.Session() as session:
            session.trust_env = False
            return [
                session.post(
                    f"{service.url}/cb",
                    data=json.dumps({**LOGIN, "n": [sender, number, time.time_ns()]}),
                    timeout=10,
                ).status_code
                for number in range(each)
            ]

    with ThreadPoolExecutor(SENDERS) as pool:
        return [status for statuses in pool.map(send, range(SENDERS)) for status in statuses]


def lost_lines(service: Service) -> float:
    text = requests.get(f"{service.ops_url}/metrics", timeout=10).text
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(LOST))


def workers(service: Service) -> list[psutil.Process]:
    return service.family()[1:]


@pytest.mark.slow
def test_receiver_whose_log_nobody_reads_goes_on(redis_url: str, reader: LogReader) -> None:
    reader.fill()
    with receiver(redis_url, reader) as service:
        service.wait_until_ready()
        assert answers(service) == [200] * SENDERS * EACH
        assert requests.get(f"{service.url}/healthz", timeout=10).status_code == 200
        [before] = workers(service)
        service.signal(signal.SIGHUP)
        wait_until(lambda: workers(service) and before not in workers(service))
        service.wait_until_ready()
        assert answers(service) == [200] * SENDERS * EACH
        [before] = workers(service)
        before.kill()
        wait_until(lambda: workers(service) and before not in workers(service))
        service.wait_until_ready()
        assert answers(service) == [200] * SENDERS * EACH
        service.signal()
        assert service.wait() == 0


@pytest.mark.slow
def test_reader_that_comes_late_finds_every_line_whole_and_in_order(
    redis_url: str, reader: LogReader
) -> None:
    with receiver(redis_url, reader, WEB_CONCURRENCY="2") as service:
        service.wait_until_ready()
        assert answers(service) == [200] * SENDERS * EACH
        assert lost_lines(service) == 0
        reader.read_on()
        service.signal()
        assert service.wait() == 0
    reader.close_writer()
    lines = [json.loads(line) for line in reader.text_to_end().splitlines()]
    assert sum(line["event"] == "message kept" for line in lines) == SENDERS * EACH
    assert lines[0]["event"].startswith("Starting gunicorn")
    assert lines[-1]["event"] == "Shutting down: Master"


@pytest.mark.slow
def test_lines_are_counted_that_nobody_can_read_any_more(redis_url: str, reader: LogReader) -> None:
    with receiver(redis_url, reader) as service:
        service.wait_until_ready()
        assert lost_lines(service) == 0
        reader.go_away()
        assert answers(service) == [200] * SENDERS * EACH
        wait_until(lambda: lost_lines(service) >= SENDERS * EACH)
        service.signal()
        assert service.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "2>/dev/null"])
def test_receiver_without_a_log_that_can_be_written_works(
    redis_url: str, reader: LogReader, redirected: str
) -> None:
    command = ("bash", "-c", f"exec {' '.join(RECEIVER)} {redirected}")
    with receiver(redis_url, reader, *command) as service:
        service.wait_until_ready()
        assert answers(service, 5) == [200] * SENDERS * 5
        expected = 0 if redirected.endswith("null") else SENDERS * 5
        wait_until(lambda: lost_lines(service) >= expected)
        service.signal()
        assert service.wait() == 0


def test_receiver_that_refuses_to_start_writes_its_reasons_before_it_ends(
    redis_url: str, reader: LogReader
) -> None:
    reader.read_on()
    with receiver(redis_url, reader, PORT="none", THINGSPACE_ACCOUNTS="wrong") as service:
        assert service.wait() != 0
    reader.close_writer()
    lines = reader.text_to_end().splitlines()
    assert ("PORT" in lines[-2], "THINGSPACE_ACCOUNTS" in lines[-1]) == (True, True)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "command",
    [
        RECEIVER,
        SUPERVISED,
        ("python", "-m", "registrar", "run"),
        ("python", "-m", "registrar", "no-such-command"),
        ("python", "-m", "registrar", "--no-such-option"),
        ("python", "-m", "listener", "check"),
        ("python", "-m", "listener", "--no-such-option"),
    ],
    ids=" ".join,
)
def test_program_that_refuses_to_start_ends_although_nobody_reads_why(
    redis_url: str, reader: LogReader, command: tuple[str, ...]
) -> None:
    reader.fill()
    with receiver(redis_url, reader, *command, PORT="none") as service:
        assert service.wait() == 2


@pytest.mark.slow
def test_supervised_service_registers_and_deregisters_although_nobody_reads_its_log(
    redis_url: str, reader: LogReader, tmp_path: Path
) -> None:
    reader.fill()
    with Sandbox() as sandbox:
        settings = registrar_settings(sandbox, tmp_path, REGISTRAR_INTERVAL_S="5")
        with receiver(redis_url, reader, *SUPERVISED, **settings, LOG_LEVEL="debug") as service:
            wait_until(lambda: sandbox.registered_url() is not None)
            sandbox.deregister_outside()
            # Its next tick registers again.
            wait_until(lambda: sandbox.registered_url() is not None)
            service.signal()
            assert service.wait(60) == 0
        assert sandbox.registered_url() is None


@pytest.mark.slow
def test_lost_lines_of_the_registrar_are_counted(
    redis_url: str, reader: LogReader, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        settings = registrar_settings(sandbox, tmp_path, REGISTRAR_INTERVAL_S="5")
        with receiver(redis_url, reader, *SUPERVISED, **settings) as service:
            wait_until(lambda: sandbox.registered_url() is not None)
            wait_until(lambda: lost_lines(service) == 0)
            reader.go_away()
            sandbox.deregister_outside()
            wait_until(lambda: lost_lines(service) > 0)
            service.signal()
            assert service.wait(60) == 0
