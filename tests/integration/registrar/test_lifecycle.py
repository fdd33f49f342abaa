"""The same tests of coordination and lifecycle as in the unit ring, on a real Redis."""

from collections.abc import Iterator

import pytest

from listener.redis_client.client import connect
from listener.settings.secret import Secret
from tests.support.coordination_contract import KEYS, Backend, CoordinationContract
from tests.support.in_memory_coordination import FakeClock, advance_redis
from tests.support.lifecycle_contract import Lifecycle

pytestmark = pytest.mark.redis_flavour


@pytest.fixture
def backend(redis_url: str) -> Iterator[Backend]:
    with connect(Secret(redis_url), timeout_s=10, name="tests") as client:
        yield Backend(client, FakeClock(), age=lambda seconds: advance_redis(client, KEYS, seconds))


class TestCoordinationOnRedis(CoordinationContract):
    """The contract on a real Redis."""


class TestLifecycleOnRedis(Lifecycle):
    """The lifecycle on a real Redis."""
