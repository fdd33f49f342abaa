"""Plugins of pytest: one records which test calls which function, one runs the tests on many mutants, a fork for each.

A mutant of a function's body gets its code put into the function, so that the tests need not be
collected anew. A mutant of anything else takes effect on import.
"""

import gc
import importlib.abc
import importlib.machinery
import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

FAILED, PASSED = 1, 0


@dataclass
class Recording:
    """What a run without a mutant has shown.

    Attributes:
        durations: of each test, in seconds.
        callers: the tests that call each function of the module, by the function's first line.
        at_import: the functions that are called while the tests are collected.
        failed: the tests that fail.
        libraries: the modules of others that were imported.
    """

    durations: dict[str, float] = field(default_factory=dict)
    callers: dict[int, set[str]] = field(default_factory=dict)
    at_import: set[int] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)

    def tests_of(self, function: int | None) -> list[str]:
        """The tests that may notice a change in a function, those that call it and the quickest first.

        Others may notice it as well: a test that found a cache filled did not call what fills it.
        """
        callers = self.callers.get(function or 0, set())
        if function and not callers and function not in self.at_import:
            return []
        return sorted(self.durations, key=lambda test: (test not in callers, self.durations[test]))


class Quickest:
    """Runs the quickest tests first, and searches for no smallest example: it is enough that one fails."""

    def __init__(self, tests: Sequence[str] = ()) -> None:
        self._tests = tests

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        rank = {test: number for number, test in enumerate(self._tests)}
        items.sort(key=lambda item: rank.get(item.nodeid, 0))

    def pytest_collection(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile(
            "mutant", hypothesis.settings(), phases=phases, database=None
        )
        hypothesis.settings.load_profile("mutant")


class Recorder(Quickest):
    """Collects the tests, and can run them once while it fills a `Recording`."""

    def __init__(self, filename: str) -> None:
        super().__init__()
        self.recording = Recording()
        self._filename = filename
        self._test = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Iterator[None]:
        with self._tracing():
            return (yield)

    def record(self, items: Sequence[pytest.Item]) -> Recording:
        for item, following in zip(items, [*items[1:], None], strict=True):
            self._test = item.nodeid
            begun = time.monotonic()
            with self._tracing():
                if fails(item, following):
                    self.recording.failed.append(item.nodeid)
            self.recording.durations[item.nodeid] = time.monotonic() - begun
        paths = ((name, getattr(it, "__file__", None) or "") for name, it in sys.modules.items())
        self.recording.libraries = [name for name, path in paths if "site-packages" in path]
        return self.recording

    @contextmanager
    def _tracing(self) -> Iterator[None]:
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def _trace(self, frame: FrameType, event: str, _arg: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_filename != self._filename:
            return
        if self._test:
            self.recording.callers.setdefault(code.co_firstlineno, set()).add(self._test)
        else:
            self.recording.at_import.add(code.co_firstlineno)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, module: str, filename: str, code: CodeType) -> None:
        super().__init__(module, filename)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class MutantFinder(importlib.abc.MetaPathFinder):
    """Has a mutant imported in a module's place."""

    def __init__(self, module: str, filename: str, code: CodeType) -> None:
        self._loader = _Loader(module, filename, code)

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._loader.name:
            return None
        path = self._loader.path
        return importlib.util.spec_from_file_location(fullname, path, loader=self._loader)


def run_until_one_fails(
    items: Sequence[pytest.Item], tests: Sequence[str], limits_s: Mapping[str, float]
) -> int:
    """Runs tests in this order; returns `FAILED` at the first that fails, or `PASSED`.

    A test that takes longer than its limit ends the process with SIGALRM.
    """
    by_id = {item.nodeid: item for item in items}
    chosen = [by_id[test] for test in tests]
    for item, following in zip(chosen, [*chosen[1:], None], strict=True):
        signal.setitimer(signal.ITIMER_REAL, limits_s[item.nodeid])
        if fails(item, following):
            return FAILED
    return PASSED


def fails(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Runs one test."""
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def replace_code(filename: str, code: CodeType) -> None:
    """Gives the functions of a module that is imported the code that they have in a mutant.

    Raises:
        ValueError: a function's free variables differ.
    """
    # Frozen objects are in no list: tests/conftest.py freezes what is there before the first test.
    gc.unfreeze()
    mutated = {(it.co_qualname, it.co_firstlineno): it for it in _codes(code)}
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == filename:
            key = function.__code__.co_qualname, function.__code__.co_firstlineno
            function.__code__ = mutated[key]


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
