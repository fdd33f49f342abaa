"""Fixtures that several rings of tests share: a real Redis server, and an empty one for each test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from testbed import redis_process

MESSAGES = Path(__file__).parent / "data" / "messages"

# How long an example takes depends on what else the machine does: no test fails by that.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a real Redis server, one for each test process."""
    try:
        redis_process.find_server()
    except redis_process.ServerNotFoundError as problem:
        if os.environ.get("CI"):
            pytest.fail(str(problem))
        pytest.skip(str(problem))
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
