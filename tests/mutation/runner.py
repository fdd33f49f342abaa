"""Runs tests on mutants, each in a fork, so that no mutant is ever written to a file."""

import contextlib
import importlib
import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.session import (
    MutantFinder,
    Quickest,
    Recorder,
    Recording,
    replace_code,
    run_until_one_fails,
)

# A mutant may take more time than its tests did before; then it is in an endless loop, or waits.
SLOWER = 4
MIN_LIMIT_S = 5.0
MAX_MEMORY_BYTES = 8 * 1024**3
# What a plugin of pytest imports is imported already, in the process that forks.
_QUIET = "ignore::pytest.PytestAssertRewriteWarning"
PYTEST = ("-q", "-s", "--no-header", "-p", "no:cacheprovider", "-W", _QUIET)

KILLED, SURVIVED, TIMED_OUT, NOT_CALLED = "killed", "survived", "timed out", "not called"


@dataclass(frozen=True)
class Target:
    """A module below the current folder, and the files of tests that are to notice its mutants."""

    module: str
    tests: Sequence[str]

    @property
    def path(self) -> Path:
        return Path.cwd() / (self.module.replace(".", "/") + ".py")

    def mutants(self) -> list[Mutant]:
        return list(mutants_of(self.path.read_text(), str(self.path)))

    def unchanged(self) -> Mutant:
        """What has to survive: otherwise it is not the mutants that the tests notice."""
        code = compile(self.path.read_bytes(), str(self.path), "exec")
        return Mutant(line=0, function=None, before="", after="", code=code)


class FunctionMutants(Recorder):
    """A plugin of pytest that runs mutants of functions instead of the tests themselves."""

    def __init__(self, target: Target, mutants: Sequence[Mutant], pipe: Any) -> None:
        super().__init__(str(target.path))
        self._target = target
        self._mutants = mutants
        self._pipe = pipe
        self._items: list[pytest.Item] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = session.items
        recording = self._record_in_child()
        if self._run(self._target.unchanged(), recording) != SURVIVED:
            recording.failed.append("a second run")
        self._send(recording)
        for number, mutant in enumerate([] if recording.failed else self._mutants):
            if mutant.function is not None:
                self._send((number, self._run(mutant, recording)))
        return True

    def _record_in_child(self) -> Recording:
        # In a child, since what the tests leave in caches would hide mutants.
        memory = os.memfd_create("recording")

        def child() -> int:
            return os.write(memory, pickle.dumps(self.record(self._items))) and 0

        os.waitpid(_fork(child), 0)
        recording: Recording = pickle.loads(os.pread(memory, os.fstat(memory).st_size, 0))
        return recording

    def _run(self, mutant: Mutant, recording: Recording) -> str:
        tests = recording.tests_of(mutant.function)
        if not tests:
            return NOT_CALLED

        limits_s = {test: _limit_s(recording.durations[test]) for test in tests}

        def child() -> int:
            replace_code(self._filename, mutant.code)
            return run_until_one_fails(self._items, tests, limits_s)

        return _result(child, sum(limits_s.values()))

    def _send(self, message: Any) -> None:
        pickle.dump(message, self._pipe)
        self._pipe.flush()


def run(target: Target, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """Yields each mutant with what became of it.

    Raises:
        RuntimeError: the tests fail without a mutant.
    """
    ends = os.pipe()
    reading, writing = os.fdopen(ends[0], "rb"), os.fdopen(ends[1], "wb")
    plugin = FunctionMutants(target, mutants, writing)
    child = _fork(lambda: pytest.main([*PYTEST, *target.tests], plugins=[plugin]))
    writing.close()
    with reading:
        recording = _receive(reading)
        if recording is None or recording.failed:
            raise RuntimeError("the tests fail without a mutant")
        _import_all(recording.libraries)
        while message := _receive(reading):
            mutant, result = mutants[message[0]], message[1]
            again = result == SURVIVED and mutant.function in recording.at_import
            yield mutant, _imported(target, mutant, recording) if again else result
    os.waitpid(child, 0)
    if _imported(target, target.unchanged(), recording) != SURVIVED:
        raise RuntimeError("the tests fail without a mutant")
    for mutant in mutants:
        if mutant.function is None:
            yield mutant, _imported(target, mutant, recording)


def _receive(pipe: Any) -> Any:
    try:
        return pickle.load(pipe)
    except EOFError:
        return None


def _import_all(names: Sequence[str]) -> None:
    """Imports modules once, for all children."""
    for name in names:
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _imported(target: Target, mutant: Mutant, recording: Recording) -> str:
    """What becomes of a mutant that takes effect on import."""

    def child() -> int:
        sys.meta_path.insert(0, MutantFinder(target.module, str(target.path), mutant.code))
        return pytest.main(
            [*PYTEST, "-x", *target.tests], plugins=[Quickest(recording.tests_of(None))]
        )

    return _result(child, _limit_s(10 + sum(recording.durations.values())))


def _limit_s(usual_s: float) -> float:
    return MIN_LIMIT_S + SLOWER * usual_s


def _result(child: Callable[[], int], limit_s: float) -> str:
    status = _wait(_fork(child), limit_s)
    if status in (None, signal.SIGALRM):
        return TIMED_OUT
    return KILLED if status else SURVIVED


def _fork(work: Callable[[], int]) -> int:
    """Starts work in a process and session of its own; returns the process's id."""
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        if not os.environ.get("DEBUG"):
            null = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(null, stream)
        status = int(work())
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 (the child ends here, whatever happens)
        traceback.print_exc()
    finally:
        # A thread that hangs, and what a test does at exit, must not keep the process.
        os._exit(status)


def _wait(child: int, limit_s: float) -> int | None:
    """The status of a child; None if it had to be killed. What it started ends with it."""
    deadline = time.monotonic() + limit_s
    found = status = 0
    while not found and time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.003)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if found:
        return status
    os.waitpid(child, 0)
    return None
