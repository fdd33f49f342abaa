"""The lifecycle of a replica from joining to leaving, as tests: they run on the double in memory and on a real Redis alike.

A ring subclasses `Lifecycle` and gives it the fixture `backend`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from listener.registration_state import Observation
from registrar.app import Registrar, build
from registrar.public_url.probe import Probe
from registrar.reconcile.loop import ReconcileLoop
from registrar.settings import RegistrarSettings
from tests.support.coordination_contract import ACCOUNT, SLOT, TTL_S, URL, Backend
from tests.support.in_memory_thingspace import THROTTLED, InMemoryThingSpace

NEW_URL = "https://new.example.com/cb"
FOREIGN = "https://other.example.com/cb"


@dataclass
class Replica:
    """A registrar whose loop a test drives by hand."""

    registrar: Registrar
    loop: ReconcileLoop
    probe_results: list[str | None] = field(default_factory=list)

    def observation(self) -> Observation:
        """The stored one, of all replicas."""
        seen = self.registrar.coordination.state.observation(SLOT)
        assert seen
        return seen


class Lifecycle:
    """Replicas from joining to leaving: the loop's steps are called in turn, and nothing sleeps."""

    @pytest.fixture
    def provider(self) -> InMemoryThingSpace:
        return InMemoryThingSpace()

    @pytest.fixture
    def replica(
        self,
        backend: Backend,
        provider: InMemoryThingSpace,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Callable[..., Replica]:
        # A key that is slow to derive on purpose; tests of the login breaker derive it.
        monkeypatch.setattr("registrar.app.digest_of", lambda _: "digest")

        def make(**chosen: str) -> Replica:
            backend.advance(1)
            environ = {
                "THINGSPACE_KEY": "key",
                "THINGSPACE_SECRET": "secret",
                "THINGSPACE_USERNAME": "user",
                "THINGSPACE_PASSWORD": "password",
                "THINGSPACE_ACCOUNTS": ACCOUNT,
                "REDIS_URL": "redis://127.0.0.1:1/0",
                "PUBLIC_URL": URL,
                "ALLOW_ANY_SENDER": "true",
                "SPOOL_DIR": str(tmp_path / "spool"),
                "REGISTRAR_LEASE_TTL_S": str(int(TTL_S)),
                **chosen,
            }
            settings = RegistrarSettings.from_env(environ)
            registrar = build(
                settings, client=backend.client, transport=provider, clock=backend.clock
            )
            probe = Probe(settings)
            results: list[str | None] = []
            probe.check = lambda: results.pop(0) if results else None  # type: ignore[method-assign]
            probe.warnings = lambda **_: []  # type: ignore[method-assign]
            loop = ReconcileLoop(
                settings,
                registrar.client,
                registrar.coordination,
                wait_until_ready=lambda _: probe.wait_until_allowed(backend.advance),
                answerers=lambda _url: (),
                clock=backend.clock,
            )
            assert registrar.coordination.heartbeat.join()
            return Replica(registrar, loop, results)

        return make

    def test_first_tick_registers_and_the_next_one_writes_nothing(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        one = replica()
        assert one.loop.begin()
        assert 54 <= one.loop.tick() <= 60
        assert provider.url(ACCOUNT) == URL
        assert (one.observation().result, one.observation().reason) == ("registered", "absent")
        one.loop.tick()
        assert one.observation().result == "as-desired"
        assert provider.calls == ["token", "login", "query", "register", "query", "query"]

    def test_probe_holds_registering_up_until_it_passes(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace, backend: Backend
    ) -> None:
        old = replica()
        old.loop.begin()
        old.loop.tick()
        new = replica(PUBLIC_URL=NEW_URL, REGISTRAR_PROBE="require")
        new.probe_results.extend(["no answer", "no answer", "no answer"])
        began = backend.clock()
        old.loop.tick()
        assert old.observation().result == "as-desired"
        assert new.loop.begin()
        assert backend.clock() - began == 1 + 2 + 4
        new.loop.tick()
        assert provider.url(ACCOUNT) == NEW_URL

    def test_superseded_replica_yields_and_does_not_overwrite_the_observation(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        old = replica(REGISTRAR_TAKEOVER="always")
        old.loop.begin()
        old.loop.tick()
        new = replica(REGISTRAR_TAKEOVER="always", PUBLIC_URL=NEW_URL)
        new.loop.begin()
        new.loop.tick()
        stored = new.observation()
        assert (stored.result, stored.reason) == ("registered", "sibling")
        writes = provider.writes()
        old.loop.tick()
        assert provider.writes() == writes
        assert new.observation() == stored

    def test_change_of_deployments_wakes_the_loop_at_the_next_heartbeat(
        self, replica: Callable[..., Replica]
    ) -> None:
        old = replica()
        old.loop.begin()
        woken: list[str] = []
        heartbeat = old.registrar.coordination.heartbeat
        heartbeat.subscribe(lambda: woken.append("woken"))
        heartbeat.beat()
        assert woken == []
        replica(PUBLIC_URL=NEW_URL)
        heartbeat.beat()
        assert woken == ["woken"]

    def test_older_deployment_registers_again_when_the_newer_one_is_gone(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace, backend: Backend
    ) -> None:
        old, killed = replica(), replica(PUBLIC_URL=NEW_URL)
        for each in (old, killed):
            each.loop.begin()
            each.loop.tick()
        assert provider.url(ACCOUNT) == NEW_URL
        backend.advance(TTL_S - 5)
        old.registrar.coordination.heartbeat.beat()
        backend.advance(10)
        old.loop.tick()
        assert provider.url(ACCOUNT) == URL
        assert old.observation().reason == "sibling"

    def test_last_member_to_leave_deregisters(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        first, last = replica(), replica()
        for each in (first, last):
            each.loop.begin()
            each.loop.tick()
        first.loop.stop()
        first.loop.shut_down()
        assert provider.url(ACCOUNT) == URL
        last.loop.stop()
        last.loop.shut_down()
        assert provider.url(ACCOUNT) is None
        assert last.observation().result == "deregistered"
        assert provider.calls[-1] == "logout"

    def test_lapsed_member_deregisters_nothing(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace, backend: Backend
    ) -> None:
        one = replica()
        one.loop.begin()
        one.loop.tick()
        backend.advance(TTL_S + 1)
        one.loop.shut_down()
        assert provider.url(ACCOUNT) == URL

    def test_member_that_never_began_leaves_without_a_call(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        one = replica()
        one.loop.shut_down()
        assert provider.calls == []
        assert one.registrar.coordination.members().names == ()

    def test_strangers_url_is_taken_over_at_boot_and_left_alone_later(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        provider.registered[ACCOUNT, "v1"] = {"name": "Fota", "url": FOREIGN}
        one = replica()
        one.loop.begin()
        one.loop.tick()
        assert one.observation().reason == "takeover"
        assert provider.url(ACCOUNT) == URL
        provider.registered[ACCOUNT, "v1"] = {"name": "Fota", "url": FOREIGN}
        one.loop.tick()
        assert one.observation().reason == "another-owner"
        one.loop.shut_down()
        assert provider.url(ACCOUNT) == FOREIGN

    def test_pause_of_one_replica_holds_for_the_other_and_ends(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace, backend: Backend
    ) -> None:
        one, other = replica(), replica()
        for each in (one, other):
            each.loop.begin()
        provider.fault = THROTTLED
        one.loop.tick()
        calls = len(provider.calls)
        assert 2 <= other.loop.tick() <= 3.5
        assert len(provider.calls) == calls
        provider.fault = None
        backend.advance(3)
        other.loop.tick()
        assert provider.url(ACCOUNT) == URL

    def test_two_refused_logins_stop_every_replica_until_unlock(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        provider.accepts_logins = False
        one, other = replica(), replica()
        for each in (one, other):
            each.loop.begin()
            each.loop.tick()
        assert provider.calls.count("login") == 2
        for each in (one, other):
            assert each.loop.tick() <= 10
        assert one.observation().reason == "breaker-open"
        assert provider.calls.count("login") == 2
        provider.accepts_logins = True
        assert one.registrar.breaker.unlock().failed == 2
        other.loop.tick()
        assert provider.calls.count("login") == 3
        assert provider.url(ACCOUNT) == URL

    def test_stopped_loop_writes_nothing_more(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        one = replica()
        one.loop.begin()
        one.loop.stop()
        assert one.loop.tick() == 0
        assert provider.calls == []

    def test_aborted_shutdown_leaves_the_registration(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        one = replica()
        one.loop.begin()
        one.loop.tick()
        one.loop.abort()
        one.loop.shut_down()
        assert provider.url(ACCOUNT) == URL

    def test_commands_by_hand_register_query_and_deregister(
        self, replica: Callable[..., Replica], provider: InMemoryThingSpace
    ) -> None:
        provider.registered[ACCOUNT, "v1"] = {"name": "Fota", "url": FOREIGN}
        by_hand = replica(REGISTRAR_TAKEOVER="never").registrar
        assert by_hand.query()[0].reason == "not-as-desired"
        assert by_hand.register()[0].reason == "by-hand"
        assert by_hand.status(stored=True).as_desired
        assert by_hand.deregister()[0].result == "deregistered"
        assert provider.url(ACCOUNT) is None
        assert not by_hand.status(stored=False).as_desired
