"""What replicas may rely on, as tests: they run on the double in memory and on a real Redis alike.

A ring subclasses `CoordinationContract` and gives it the fixture `backend`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest

from listener.registration_state import Observation
from registrar.coordination.keys import Keys
from registrar.coordination.membership import (
    KNOWN_URL_TTL_MS,
    Lease,
    MemberIdentity,
    Members,
    read_members,
)
from registrar.coordination.mutex import Mutex
from registrar.coordination.pauses import Pauses
from registrar.coordination.state import SharedState
from registrar.errors import NotExclusiveError, UnavailableError
from registrar.model import Slot
from registrar.reconcile.observer import unknown
from registrar.turn import Turn
from tests.support.in_memory_coordination import FakeClock

KEYS = Keys("fota")
ACCOUNT = "0242078689-00001"
SLOT = Slot(ACCOUNT, "v1")
TTL_S, WINDOW_S = 30.0, 600.0
URL = "https://fota.example.com/cb"


@dataclass
class Backend:
    """Where the replicas of a test coordinate; time passes only by `advance`."""

    client: Any
    clock: FakeClock
    age: Callable[[float], None]

    def advance(self, seconds: float) -> bool:
        """Lets time pass, as a turn's sleep that is never over early."""
        self.clock.advance(seconds)
        self.age(seconds)
        return False

    @property
    def turn(self) -> Turn:
        return Turn(self.advance)

    def lease(self, name: str, deployment: str = "a", *, age_s: float = 0) -> Lease:
        identity = MemberIdentity(name, deployment, f"url-of-{deployment}")
        began = self.clock() - age_s
        return Lease(self.client, KEYS, identity, ttl_s=TTL_S, age_s=lambda: self.clock() - began)

    def members(self) -> Members:
        return read_members(self.client, KEYS)

    def mutex(self, name: str) -> Mutex:
        return Mutex(self.client, KEYS, name, ttl_s=TTL_S, clock=self.clock)

    def state(self) -> SharedState:
        return SharedState(self.client, KEYS, digest=str, window_s=WINDOW_S)

    def pauses(self) -> Pauses:
        return Pauses(self.client, KEYS, self.clock)


def observed(fence: int, **changed: Any) -> Observation:
    return replace(unknown(SLOT), fence=fence, **changed)


class CoordinationContract:
    """Mutex, members, state and pauses."""

    def test_fencing_token_grows_with_every_holder(self, backend: Backend) -> None:
        tokens = []
        for name in ("one", "two", "one"):
            with backend.mutex(name).hold(backend.turn, timeout_s=1) as held:
                tokens.append(held.fencing_token)
        assert tokens == [1, 2, 3]

    def test_mutex_has_one_holder_and_the_waiter_gives_up_in_time(self, backend: Backend) -> None:
        began = backend.clock()
        with (
            backend.mutex("one").hold(backend.turn, timeout_s=1),
            pytest.raises(NotExclusiveError) as caught,
            backend.mutex("two").hold(backend.turn, timeout_s=5),
        ):
            raise AssertionError("held twice")
        assert caught.value.reason == "mutex-busy"
        assert backend.clock() - began == pytest.approx(5, abs=0.2)

    def test_waiter_that_is_told_to_stop_gives_up_at_once(self, backend: Backend) -> None:
        with (
            backend.mutex("one").hold(backend.turn, timeout_s=1),
            pytest.raises(NotExclusiveError),
            backend.mutex("two").hold(Turn(lambda _: True), timeout_s=5),
        ):
            raise AssertionError("held twice")

    def test_mutex_of_a_killed_holder_expires(self, backend: Backend) -> None:
        killed = backend.mutex("killed").hold(backend.turn, timeout_s=1)
        killed.__enter__()
        with backend.mutex("one").hold(backend.turn, timeout_s=TTL_S + 1) as held:
            assert held.fencing_token == 2

    def test_renewed_mutex_does_not_expire(self, backend: Backend) -> None:
        with backend.mutex("one").hold(backend.turn, timeout_s=1) as held:
            for _ in range(3):
                backend.advance(TTL_S - 5)
                held.renew()
            with (
                pytest.raises(NotExclusiveError),
                backend.mutex("two").hold(backend.turn, timeout_s=1),
            ):
                raise AssertionError("held twice")

    def test_slow_holder_learns_that_it_lost_the_mutex_and_releases_nothing(
        self, backend: Backend
    ) -> None:
        with backend.mutex("slow").hold(backend.turn, timeout_s=1) as slow:
            backend.advance(TTL_S + 1)
            with backend.mutex("next").hold(backend.turn, timeout_s=1) as held:
                with pytest.raises(NotExclusiveError) as caught:
                    slow.renew()
                assert caught.value.reason == "mutex-lost"
                held.renew()

    def test_release_by_a_slow_holder_leaves_the_next_holder_alone(self, backend: Backend) -> None:
        with ExitStack() as later:
            with backend.mutex("slow").hold(backend.turn, timeout_s=1):
                backend.advance(TTL_S + 1)
                held = later.enter_context(backend.mutex("next").hold(backend.turn, timeout_s=1))
            held.renew()
            assert held.fencing_token == 2

    def test_holder_may_acquire_again_what_it_could_not_release(self, backend: Backend) -> None:
        first = backend.mutex("one").hold(backend.turn, timeout_s=1)
        held = first.__enter__()
        with backend.mutex("one").hold(backend.turn, timeout_s=1) as again:
            assert again.fencing_token == 2
            with pytest.raises(NotExclusiveError):
                held.renew()

    def test_members_join_and_leave(self, backend: Backend) -> None:
        one, two = backend.lease("one"), backend.lease("two")
        assert one.join().names == ("one",)
        assert two.join().names == ("one", "two")
        assert one.leave() == 1
        assert backend.members().names == ("two",)
        assert (two.leave(), two.leave()) == (0, 0)

    def test_lease_expires_unless_it_is_renewed(self, backend: Backend) -> None:
        one, killed = backend.lease("one"), backend.lease("killed")
        one.join()
        killed.join()
        backend.advance(TTL_S - 5)
        assert one.renew().names == ("killed", "one")
        backend.advance(10)
        assert backend.members().names == ("one",)
        assert one.leave() == 0

    def test_leaving_member_whose_lease_had_lapsed_cannot_know_who_remains(
        self, backend: Backend
    ) -> None:
        one = backend.lease("one")
        one.join()
        backend.advance(TTL_S + 1)
        assert backend.members().names == ()
        assert one.leave() is None

    def test_lapsed_lease_is_joined_again_in_its_old_place(self, backend: Backend) -> None:
        old, new = backend.lease("old", "old", age_s=100), backend.lease("new", "new", age_s=10)
        old.join()
        new.join()
        backend.advance(TTL_S + 1)
        assert new.renew().rejoined
        members = old.renew()
        assert members.rejoined
        assert not old.renew().rejoined
        assert (members.is_superseded("old"), members.is_superseded("new")) == (True, False)

    def test_deployment_whose_member_joined_last_supersedes_the_others(
        self, backend: Backend
    ) -> None:
        for name, deployment, age_s in (("1", "a", 30), ("2", "b", 20), ("3", "a", 10)):
            backend.lease(name, deployment, age_s=age_s).join()
        members = backend.members()
        assert (members.is_superseded("a"), members.is_superseded("b")) == (False, True)
        assert not members.is_superseded("of no member")

    def test_candidate_counts_as_a_member_and_supersedes_nobody(self, backend: Backend) -> None:
        old, new = backend.lease("old", "old", age_s=100), backend.lease("new", "new")
        old.join()
        members = new.join_as_candidate()
        assert members.names == ("new", "old")
        assert not members.is_superseded("old")
        assert members.are_candidates_elsewhere(old.identity)
        new.renew()
        assert not backend.members().is_superseded("old")
        members = new.join()
        assert members.is_superseded("old")
        assert not members.are_candidates_elsewhere(old.identity)

    def test_candidate_with_the_same_url_is_no_successor_elsewhere(self, backend: Backend) -> None:
        one = backend.lease("one")
        one.join()
        assert not backend.members().are_candidates_elsewhere(one.identity)
        members = backend.lease("two").join_as_candidate()
        assert not members.are_candidates_elsewhere(one.identity)

    def test_observation_of_a_later_holder_stays(self, backend: Backend) -> None:
        state = backend.state()
        assert state.observation(SLOT) is None
        assert state.store_observation(observed(7))
        assert not state.store_observation(observed(6, reason="late"))
        assert [seen and seen.reason for seen in state.observations((SLOT,))] == [""]
        assert state.store_observation(observed(8, reason="next"))
        seen = state.observation(SLOT)
        assert seen
        assert (seen.fence, seen.reason) == (8, "next")

    def test_holder_stores_an_observation_of_each_slot_under_one_token(
        self, backend: Backend
    ) -> None:
        state = backend.state()
        other = replace(observed(7), version="v2")
        assert state.store_observation(observed(7))
        assert state.store_observation(other)
        assert state.store_observation(observed(7, reason="again"))
        assert state.observation("0242078689-00001/v2") == other

    def test_observations_are_read_in_the_order_asked_for(self, backend: Backend) -> None:
        state, other = backend.state(), Slot("a", "v2")
        state.store_observation(observed(1))
        [first, second] = state.observations((other, SLOT))
        assert (first, second and second.key) == (None, str(SLOT))
        assert state.observations(()) == []

    def test_url_of_a_member_is_known_until_long_after_it_left(self, backend: Backend) -> None:
        state, lease = backend.state(), backend.lease("one")
        assert not state.is_known_url("url-of-a")
        lease.join()
        lease.leave()
        assert state.is_known_url("url-of-a")
        assert not state.is_known_url("url-of-b")
        backend.advance(KNOWN_URL_TTL_MS / 1000 + 1)
        backend.lease("two", "b").join()
        assert not state.is_known_url("url-of-a")

    def test_takeovers_count_within_the_window_by_slot_and_deployment(
        self, backend: Backend
    ) -> None:
        state = backend.state()
        state.add_takeover(SLOT, "a", fencing_token=1)
        backend.advance(WINDOW_S / 2)
        state.add_takeover(SLOT, "a", fencing_token=2)
        assert state.count_takeovers(SLOT, "a") == 2
        assert state.count_takeovers(SLOT, "b") == 0
        assert state.count_takeovers(Slot(ACCOUNT, "v2"), "a") == 0
        backend.advance(WINDOW_S / 2 + 1)
        assert state.count_takeovers(SLOT, "a") == 1

    def test_queue_has_one_name_for_all(self, backend: Backend) -> None:
        name = backend.state().queue_id()
        assert len(name) == 32
        assert backend.state().queue_id() == name

    def test_pause_is_shared_doubles_and_ends(self, backend: Backend) -> None:
        one, other = backend.pauses(), backend.pauses()
        assert other.left_s() == 0
        one.begin(failure(503))
        assert 0.3 < other.left_s() <= 0.5
        backend.advance(0.5)
        assert other.left_s() == 0
        other.begin(failure(503))
        assert 0.7 < one.left_s() <= 1.0
        one.end()
        one.begin(failure(503))
        assert 0.3 < one.left_s() <= 0.5

    def test_pause_is_as_long_as_the_provider_asks(self, backend: Backend) -> None:
        one, other = backend.pauses(), backend.pauses()
        one.begin(failure(429, retry_after_s=120))
        assert 119 < other.left_s() <= 120
        backend.advance(60)
        assert 59 < other.left_s() <= 60
        assert 59 < one.own_left_s() <= 60

    def test_outage_without_an_answer_begins_no_pause(self, backend: Backend) -> None:
        backend.pauses().begin(UnavailableError("unreachable", sent=False))
        assert backend.pauses().left_s() == 0


def failure(http_status: int, retry_after_s: float | None = None) -> UnavailableError:
    reason = "throttled" if http_status == 429 else "provider-failed"
    return UnavailableError(reason, sent=True, http_status=http_status, retry_after_s=retry_after_s)
