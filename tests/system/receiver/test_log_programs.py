"""Programs that log while nobody reads: they go on, end in time, and lose nothing that can be written."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from testbed.log_reader import LogReader
from testbed.polling import wait_until
from testbed.process import ROOT


@pytest.fixture
def reader() -> Iterator[LogReader]:
    with LogReader() as reader:
        yield reader


PROGRAM = """
import multiprocessing, os, signal, sys, threading, time, warnings
{first}
from listener import logs
from listener.runtime import stderr
stderr.replace()
logs.configure("json", "info")
import logging, structlog
log = structlog.get_logger("listener")
{then}
"""
GEVENT = "from gevent import monkey; monkey.patch_all(); import gevent"


def started(
    then: str, fd: int, first: str = "", stdin: int = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    program = PROGRAM.format(first=first, then=then)
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stderr=fd, stdout=subprocess.PIPE, stdin=stdin
    )


def flood(way: str) -> str:
    return f"for number in range(12_000): {way}\nos.write(1, b'through\\n')"


WAYS = {
    "structlog": "log.info('x' * 200, number=number)",
    "logging": "logging.getLogger('a.library').warning('x' * 200)",
    "print": "print('x' * 200, file=sys.stderr)",
    "flushed print": "print('x' * 200, file=sys.stderr, flush=True)",
    "warning": "warnings.warn_explicit('x' * 200, UserWarning, 'file', number)",
    "hook": "sys.excepthook(ValueError, ValueError('x' * 200), None)",
    "unraisable": "type('A', (), {'__del__': lambda self: 1 / 0})()",
    "gevent": "gevent.get_hub().print_exception(None, ValueError, ValueError('x' * 200), None)",
    "forked": "log.info('x' * 200); number or os.fork()",
}


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize(
    ("way", "first"),
    [*((way, GEVENT) for way in WAYS), *((way, "") for way in WAYS if way != "gevent")],
    ids=lambda value: "under gevent" if value == GEVENT else value or "plain",
)
def test_no_way_of_writing_waits_for_a_reader_that_never_reads(
    reader: LogReader, way: str, first: str
) -> None:
    with started(flood(WAYS[way]), reader.writer, first) as process:
        output, _ = process.communicate(timeout=60)
    assert (set(output.split()), process.returncode) == ({b"through"}, 0)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_lost_lines_are_reported_once_the_log_is_read_again(
    reader: LogReader, log_format: str
) -> None:
    then = f"logs.configure('{log_format}', 'error')\n{flood(WAYS['print'])}\nsys.stdin.read()"
    with started(then, reader.writer, stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"through\n"
        reader.read_on()
        wait_until(lambda: "log lines lost" in reader.text())
        process.stdin.close()
        assert process.wait(30) == 0
    reader.close_writer()
    *kept, report = reader.text_to_end().splitlines()
    assert set(kept) == {"x" * 200}
    found = re.search(r"lines\W+(\d+)", report.replace("log lines lost", ""))
    assert found
    assert len(kept) + int(found[1]) == 12_000


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize(
    ("then", "status", "last"),
    [
        ("log.info('the end')", 0, "the end"),
        ("print('refused', file=sys.stderr); sys.exit(2)", 2, "refused"),
        ("sys.exit('refused')", 1, "refused"),
        ("log.info('before'); 1 / 0", 1, "ZeroDivisionError: division by zero"),
        (
            "threading.Thread(target=lambda: 1 / 0).start()",
            0,
            "ZeroDivisionError: division by zero",
        ),
        ("import atexit; atexit.register(log.info, 'at exit')", 0, "at exit"),
        ("print('no newline', end='', file=sys.stderr)", 0, "no newline"),
        ("for n in range(9000): log.info('line', n=n)\nlog.info('the end')", 0, "the end"),
        (
            "class A:\n  def __del__(self): print('finalized', file=sys.stderr)\nlog.a = A()",
            0,
            "finalized",
        ),
        (
            "log.info('first')\nif not os.fork(): log.info('child'); sys.exit(0)\nos.wait()",
            0,
            "child",
        ),
        (
            "context = multiprocessing.get_context('fork')\nchild = context.Process(target=log.info, args=['child']); child.start(); child.join()",
            0,
            "child",
        ),
    ],
)
@pytest.mark.parametrize("first", ["", GEVENT], ids=["plain", "gevent"])
def test_last_words_are_written_before_the_process_ends(
    reader: LogReader, then: str, status: int, last: str, first: str
) -> None:
    reader.read_on()
    with started(then, reader.writer, first) as process:
        assert process.wait(30) == status
    reader.close_writer()
    lines = reader.text_to_end().splitlines()
    # Two processes write when they come to it.
    assert "fork" in then or last in lines[-1]
    assert sum(last in line for line in lines) == 1


def test_signal_handlers_and_garbage_collection_may_log_while_a_line_is_taken(
    reader: LogReader,
) -> None:
    then = """
signal.signal(signal.SIGALRM, lambda *_: (log.info("signal"), logging.getLogger().warning("signal")))
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
class Cycle:
    def __init__(self): self.itself = self
    def __del__(self): log.info("collected")
for number in range(20_000):
    Cycle()
    log.info("line")
signal.setitimer(signal.ITIMER_REAL, 0)
print("through", flush=True)
"""
    with started(then, reader.writer) as process:
        output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == (b"through\n", 0)


@pytest.mark.slow
def test_threads_that_fork_while_others_log_inherit_no_held_lock(reader: LogReader) -> None:
    then = """
stop = []
def flood():
    while not stop: log.info("line")
threads = [threading.Thread(target=flood) for _ in range(3)]
[thread.start() for thread in threads]
for _ in range(30):
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        print("child", file=sys.stderr)
        stderr.writer().finish()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.append(True)
"""
    reader.read_on()
    with started(then, reader.writer) as process:
        assert process.wait(60) == 0
    reader.close_writer()
    assert reader.text_to_end().splitlines().count("child") == 30


@pytest.mark.parametrize("first", ["", GEVENT], ids=["plain", "gevent"])
def test_process_without_standard_error_works_and_its_children_get_no_other_file_in_its_place(
    first: str,
) -> None:
    then = "log.info('x'); file = open('/dev/zero'); print(file.fileno(), os.path.realpath('/proc/self/fd/2'))"
    program = PROGRAM.format(first=first, then=then)
    ended = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    fd, at_two = ended.stdout.split()
    assert (ended.returncode, fd != b"2", at_two) == (0, True, b"/dev/null")


def test_blocked_standard_error_delays_the_end_by_its_bound_only(reader: LogReader) -> None:
    then = """
for number in range(1000): log.info("line")
began = time.monotonic()
stderr.writer().finish()
print(time.monotonic() - began < 5, flush=True)
"""
    with started(then, reader.writer) as process:
        output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == (b"True\n", 0)


def test_terminated_process_ends_while_its_standard_error_is_blocked(reader: LogReader) -> None:
    then = f"{flood(WAYS['structlog'])}\ntime.sleep(60)"
    with started(then, reader.writer) as process:
        assert process.stdout
        assert process.stdout.readline() == b"through\n"
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM
