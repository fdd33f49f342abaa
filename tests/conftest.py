"""What all rings of tests share: a real Redis server, and the skip of a test whose program is not installed."""

import gc
import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
import structlog
from xdist.scheduler import LoadScopeScheduling

from testbed.programs import MissingProgramError
from testbed.redis_servers import redis_process

TESTS = Path(__file__).parent
MESSAGES = TESTS.parent / "listener" / "messages" / "samples"

# A shell starts what runs in its background with SIGINT ignored, and the programs under test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on what else the machine does: no test fails by that. CI tries more of them.
hypothesis.settings.register_profile(
    "untimed",
    max_examples=50 if os.environ.get("CI") else 25,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with skip_where_a_program_is_missing():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with skip_where_a_program_is_missing():
        return (yield)


@contextmanager
def skip_where_a_program_is_missing() -> Iterator[None]:
    """Skips a test or fixture that raises MissingProgramError; in CI the error makes it fail."""
    try:
        yield
    except MissingProgramError as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


@pytest.fixture(autouse=True)
def loggers_can_be_captured() -> Iterator[None]:
    """Fails a test that configures logging as a program does: loggers that are used then ignore `capture_logs` for good."""
    yield
    cached = structlog.get_config()["cache_logger_on_first_use"]
    structlog.reset_defaults()
    assert not cached, "the test configured structlog for the whole process"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all but some cases of a test with many as slow and further ones, and puts the longest rings first: no long test comes last."""
    rings = ("system", "integration", "project", "unit")
    items.sort(key=lambda item: rings.index(item.path.relative_to(TESTS).parts[0]))
    many = [(item, mark) for item in items if (mark := item.get_closest_marker("quick_cases"))]
    totals = Counter(function_of(item) for item, _ in many)
    passed = Counter[str]()
    for item, mark in many:
        function, [quick] = function_of(item), mark.args
        total, number = totals[function], passed[function]
        # Spread evenly over the cases, the first among them.
        if number * quick // total == (number - 1) * quick // total:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.further_case)
        passed[function] += 1


class ModuleScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Runs a module whose tests share a fixture in one process, and spreads all other tests.

    xdist's own groups do not do that: under pytest 9.2 their marks have no effect.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if shares_fixture(TESTS.parent / path) else nodeid


@cache
def shares_fixture(module: Path) -> bool:
    return 'scope="module"' in module.read_text()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ModuleScheduling:
    return ModuleScheduling(config, log)


def function_of(item: pytest.Item) -> str:
    """The test's name without its case."""
    return item.nodeid.partition("[")[0]


def pytest_collection_finish() -> None:
    """Keeps what the collection made out of every later garbage collection: thousands of tests stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a real Redis server, one for each test process."""
    # Not pytest's own folder: a Unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="fota-"))
    try:
        with redis_process.running(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of a real and empty Redis database."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis"]:
    """A client of the test's own, to look at what the code under test left in Redis."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
