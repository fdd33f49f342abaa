"""Blocking calls in a process that gevent has patched: the loop goes on, and so does the process's end.

Each test runs a small program of its own: patching cannot be undone.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from listener.runtime.native_thread import NativeThread

ROOT = Path(__file__).parents[3]

PATCHED = """
from gevent import monkey; monkey.patch_all()
import gevent, os, signal, sys, threading, time
from listener.runtime.native_thread import NativeThread

# The C library's own sleep: a call that blocks its thread as a slow disk does.
import ctypes
library = ctypes.CDLL(None)
def block(seconds):
    library.usleep(int(seconds * 1_000_000))
    return seconds
native = NativeThread()
"""


def program(code: str, timeout_s: float = 20) -> str:
    """Runs a program in a patched process; what it printed. It must end by itself."""
    done = subprocess.run(
        [sys.executable, "-c", PATCHED + code],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout_s,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_loop_goes_on_while_a_call_blocks() -> None:
    turns = program(
        "turns = 0\n"
        "def turn():\n"
        "    global turns\n"
        "    while True: gevent.sleep(0.01); turns += 1\n"
        "gevent.spawn(turn)\n"
        "assert native.run(lambda: block(0.5), 5) == 0.5\n"
        "print(turns)\n"
    )
    assert int(turns) > 5


def test_error_of_a_call_reaches_its_caller_and_nobody_else() -> None:
    told = program(
        "try: native.run(lambda: {}['missing'], 5)\nexcept KeyError as error: print(error)\n"
    )
    assert told == "'missing'"


def test_callers_behind_a_hung_call_wait_no_longer_than_their_own_limits() -> None:
    told = program(
        "done = []\n"
        "def call(limit):\n"
        "    began = time.monotonic()\n"
        "    try: native.run(lambda: block(3) if limit == 0.1 else done.append(limit), limit)\n"
        "    except TimeoutError: print(limit, round(time.monotonic() - began, 1))\n"
        "callers = [gevent.spawn(call, limit) for limit in (0.1, 0.2, 0.3, 0.4, 0.5, 30)]\n"
        "gevent.joinall(callers)\n"
        "print(done)\n"
    )
    assert told.splitlines() == [
        *(f"{limit} {limit}" for limit in (0.1, 0.2, 0.3, 0.4, 0.5)),
        "[30]",
    ]


def test_hung_call_does_not_keep_a_process_from_ending_at_sigterm() -> None:
    began = time.monotonic()
    program(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "gevent.spawn(lambda: native.run(lambda: block(40), 0.2))\n"
        "gevent.spawn(lambda: native.run(lambda: block(40), 60))\n"
        "gevent.get_hub().handle_error = lambda *_: None\n"
        "gevent.sleep(0.5)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "gevent.sleep(60)\n"
    )
    assert time.monotonic() - began < 15


def test_thread_is_started_anew_after_a_fork() -> None:
    told = program(
        "native.run(lambda: None, 5)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    gevent.reinit()\n"
        "    print(native.run(lambda: 'from the child', 5), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "print(native.run(lambda: 'from the parent', 5))\n"
    )
    assert told.splitlines() == ["from the child", "from the parent"]


def test_calls_take_turns_where_nothing_is_patched() -> None:
    native, begun, goes_on = NativeThread(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        goes_on.wait(10)

    first = threading.Thread(target=native.run, args=(hang, 10))
    first.start()
    begun.wait(10)
    with pytest.raises(TimeoutError):
        native.run(lambda: None, 0.01)
    goes_on.set()
    first.join()
    with pytest.raises(TimeoutError):
        native.run(lambda: time.sleep(0.3), 0.01)
    assert native.run(lambda: 7, 1) == 7


def test_call_returns_or_raises_where_nothing_is_patched() -> None:
    assert NativeThread().run(lambda: 7, 1) == 7
    with pytest.raises(ZeroDivisionError):
        NativeThread().run(lambda: 1 / 0, 1)
