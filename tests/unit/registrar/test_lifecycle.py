"""Coordination and the registrar's whole lifecycle on the double: no Redis, no network, no thread, no sleeping."""

from collections.abc import Callable

import pytest

from registrar.errors import NotExclusiveError
from tests.support.coordination_contract import (
    ACCOUNT,
    TTL_S,
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
    """The contract on the double, and what needs a Redis that is away."""

    def test_mutex_cannot_be_renewed_while_redis_is_away(self, backend: Backend) -> None:
        with backend.mutex("one").hold(backend.turn, timeout_s=1) as held:
            backend.client.down = True
            with pytest.raises(NotExclusiveError) as caught:
                held.renew()
            assert caught.value.reason == "mutex-unknown"
            assert caught.value.detail == "ConnectionError"

    def test_mutex_that_cannot_be_released_is_left_to_expire(self, backend: Backend) -> None:
        with backend.mutex("one").hold(backend.turn, timeout_s=1):
            backend.client.down = True
        backend.client.down = False
        backend.advance(TTL_S + 1)
        with backend.mutex("two").hold(backend.turn, timeout_s=0) as held:
            assert held.fencing_token == 2

    def test_member_that_cannot_reach_redis_cannot_know_who_remains(self, backend: Backend) -> None:
        one = backend.lease("one")
        one.join()
        backend.client.down = True
        assert one.leave() is None


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
