"""Deployments that share an account and no Redis: none takes away what another one serves."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.polling import wait_until
from testbed.proxies.tcp_proxy import TcpProxy
from testbed.redis_servers.redis_nodes import Node, started
from testbed.registrar_process import (
    has_said,
    sending,
    settings,
    settled,
    wait_until_registered,
)
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service

pytestmark = pytest.mark.slow

# The default is sixty; the tests only want it to be far longer than what happens in them.
INTERVAL_S = os.environ.get("STACKS_INTERVAL_S", "60")


class Services:
    """Stacks with a Redis each, and the ThingSpace that they share."""

    def __init__(self, sandbox: Sandbox, nodes: list[Node], folder: Path) -> None:
        self.sandbox = sandbox
        self._nodes = nodes
        self._folder = folder

    def stack(self, number: int, public: str | None = None, **more: str) -> Service:
        address = self._nodes[number].address
        chosen = {"REDIS_URL": f"redis://{address}/0", "REGISTRAR_INTERVAL_S": INTERVAL_S, **more}
        folder = self._folder / str(number)
        service = Service(*SUPERVISED, **settings(self.sandbox, folder, **chosen))
        if public:
            service.settings["PUBLIC_URL"] = public
        return service


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    nodes = [Node(tmp_path / f"redis-{number}", {}) for number in (0, 1)]
    with started(nodes), Sandbox() as sandbox:
        yield Services(sandbox, nodes, tmp_path)


@pytest.fixture
def balancer() -> Iterator[TcpProxy]:
    with TcpProxy().running() as running:
        yield running


def was_absent(sandbox: Sandbox) -> bool:
    return not all(entry["url"] for entry in sandbox.registrations()["history"])


@pytest.mark.parametrize(
    ("probe", "first_to_end"), [("off", 0), ("off", 1), ("warn", 0), ("warn", 1), ("require", 0)]
)
def test_a_stack_that_ends_leaves_the_url_that_another_one_serves(
    services: "Services", balancer: TcpProxy, probe: str, first_to_end: int
) -> None:
    """Moving to another Redis, or blue and green; whoever stays is the one that the balancer leads to."""
    sandbox = services.sandbox
    public = f"{balancer.url}/cb"
    stacks = [services.stack(number, public, REGISTRAR_PROBE=probe) for number in (0, 1)]
    ending, staying = stacks[first_to_end], stacks[1 - first_to_end]
    with stacks[0]:
        balancer.target_port = stacks[0].port
        wait_until_registered(stacks[0])
        stacks[1].settings["REGISTRAR_PROBE"] = "off" if probe == "require" else probe
        with stacks[1]:
            wait_until_registered(stacks[1])
            balancer.switch(staying.port)
            with sending(sandbox, every_s=0.05):
                ending.signal(signal.SIGTERM)
                assert ending.wait() == 0, ending.log()
            assert "served-by-others" in ending.log()
            wait_until(lambda: settled(sandbox))
            assert not was_absent(sandbox)
            assert set(sandbox.counts().items()) >= {("lost", 0), ("unregistered", 0)}
            staying.signal(signal.SIGTERM)
            assert staying.wait() == 0, staying.log()
    assert sandbox.registered_url() is None, "the last one that served it deregistered"


def test_one_that_takes_a_url_over_gives_it_back_at_its_end_while_somebody_serves_it(
    services: Services,
) -> None:
    """A laptop, or a copy for staging, with the production account."""
    sandbox = services.sandbox
    production = services.stack(0)
    laptop = services.stack(1, QUEUE_NAMESPACE="laptop")
    with ExitStack() as running:
        running.enter_context(production)
        wait_until_registered(production)
        url = sandbox.registered_url()
        running.enter_context(laptop)
        wait_until_registered(laptop)
        [line] = [text for text in laptop.log().splitlines() if '"reason":"takeover"' in text]
        assert '"level":"warning"' in line
        assert production.url in line
        assert laptop.url in line
        laptop.signal(signal.SIGTERM)
        assert laptop.wait() == 0, laptop.log()
        assert has_said(laptop, "registration given back")
        assert sandbox.registered_url() == url
        assert not was_absent(sandbox)


def test_a_url_that_nobody_serves_is_not_given_back(services: Services) -> None:
    sandbox = services.sandbox
    sandbox.register_outside("http://127.0.0.1:1/gone")
    with services.stack(0) as service:
        wait_until_registered(service)
        service.signal(signal.SIGTERM)
        assert service.wait() == 0, service.log()
    assert sandbox.registered_url() is None
