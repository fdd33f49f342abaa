"""Commands whose output nobody reads: they wait, and end on a signal or when the reader is gone."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.log_reader import LogReader
from testbed.polling import wait_until
from testbed.process import ROOT, log_file
from tests.support.consumer_feed import feed

COMMANDS = {
    "tail that follows": ("tail", "--from", "start"),
    "tail as JSON": ("tail", "--from", "start", "--json"),
    "export": ("export", "--format", "csv"),
}


@pytest.fixture
def reader() -> Iterator[LogReader]:
    with LogReader() as reader:
        yield reader


@pytest.fixture(params=COMMANDS)
def command(
    request: pytest.FixtureRequest, redis_url: str, redis_client: Any, reader: LogReader
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command that has filled the pipe it prints into."""
    feed(redis_client, range(200))
    with log_file() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "listener", *COMMANDS[request.param]],
            cwd=ROOT,
            env={"REDIS_URL": redis_url},
            stdout=reader.writer,
            stderr=errors,
        )
        try:
            wait_until(lambda: reader.is_full() or process.poll() is not None)
            assert process.poll() is None
            yield process
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        assert "Traceback" not in errors.read()


@pytest.mark.quick_cases(1)
def test_command_ends_on_a_signal(command: "subprocess.Popen[bytes]") -> None:
    command.send_signal(signal.SIGTERM)
    assert command.wait(30) == -signal.SIGTERM


@pytest.mark.quick_cases(1)
def test_command_ends_on_an_interrupt(command: "subprocess.Popen[bytes]") -> None:
    command.send_signal(signal.SIGINT)
    assert command.wait(30) in {0, 1}


@pytest.mark.quick_cases(1)
def test_command_ends_when_its_reader_is_gone(
    command: "subprocess.Popen[bytes]", reader: LogReader
) -> None:
    reader.go_away()
    assert command.wait(30) == 0
