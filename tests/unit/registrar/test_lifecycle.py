"""Coordination and the registrar's whole lifecycle on the double: no Redis, no network, no thread, no sleeping."""

from collections.abc import Callable

import pytest

from tests.support.coordination_contract import (
    ACCOUNT,
    URL,
    Backend,
    CoordinationContract,
)
from tests.support.in_memory_coordination import FakeClock, InMemoryRedis
from tests.support.in_memory_thingspace import InMemoryThingSpace
from tests.support.lifecycle_contract import Lifecycle, Replica


@pytest.fixture
def backend() -> Backend:
    clock = FakeClock()
    return Backend(InMemoryRedis(clock), clock, age=lambda _: None)


class TestCoordinationDouble(CoordinationContract):
    """The contract on the double."""


class TestLifecycle(Lifecycle):
    """The lifecycle on the double, and what needs a Redis that is away."""

    def test_without_redis_a_replica_registers_and_never_deregisters(
        self, backend: Backend, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        one = replica()
        backend.client.down = True
        one.loop.begin()
        one.loop.tick()
        assert provider.url(ACCOUNT) == URL
        one.loop.shut_down()
        assert provider.url(ACCOUNT) == URL

    def test_replica_joins_when_redis_is_back(
        self, backend: Backend, replica: Callable[..., Replica]
    ) -> None:
        one = replica()
        backend.client.flushall()
        backend.client.down = True
        one.loop.begin()
        assert not one.registrar.coordination.heartbeat.beat()
        backend.client.down = False
        assert one.registrar.coordination.heartbeat.beat()
        assert len(one.registrar.coordination.members().names) == 1
