"""Connections that die without a word, names that are refused, and pools that have an end."""

import ast
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from listener.inspection.queue_view import decoding_client
from listener.queue.writer import RedisWriter
from listener.redis_client.client import MAX_CONNECTIONS, connect
from listener.settings.secret import Secret
from listener.settings.settings import Settings
from testbed.proxies.resp_proxy import RespProxy
from testbed.redis_servers import redis_process
from tests.support.queue_load import message
from tests.support.redis_trust import assert_probed, assert_replaced_after_a_rest

pytestmark = pytest.mark.redis_flavour

ROOT = Path(__file__).parents[3]


@pytest.fixture
def proxy(redis_server: str) -> Iterator[RespProxy]:
    with (
        TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)),
        RespProxy(Path(folder) / redis_process.SOCKET).running() as running,
    ):
        yield running


def settings(proxy: RespProxy) -> Settings:
    environ = {"REDIS_URL": proxy.url, "ALLOW_ANY_SENDER": "true", "ACK_BUDGET_MS": "3000"}
    return Settings.from_env(environ)


def opened(proxy: RespProxy, *, retry: bool) -> redis.Redis:
    return connect(Secret(proxy.url), timeout_s=3, name="fota-test", retry=retry)


@pytest.mark.parametrize("retry", [False, True])
def test_a_connection_is_probed_and_not_trusted_after_a_rest(
    proxy: RespProxy, monkeypatch: pytest.MonkeyPatch, *, retry: bool
) -> None:
    with closing(opened(proxy, retry=retry)) as client:
        assert_probed(client)
        assert_replaced_after_a_rest(client, monkeypatch)


def test_the_operators_client_is_as_careful(
    proxy: RespProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with decoding_client(settings(proxy).queue, timeout_s=3, name="fota-check") as client:
        assert_probed(client)
        assert_replaced_after_a_rest(client, monkeypatch)


def test_a_connection_that_died_during_a_rest_costs_no_message_its_time(
    proxy: RespProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(RedisWriter(settings(proxy))) as writer:
        writer.put(message(1))
        proxy.forget()
        monkeypatch.setattr("listener.redis_client.connection_pool.MAX_IDLE_S", 0.0)
        began = time.monotonic()
        assert not writer.put(message(2)).duplicate
        assert time.monotonic() - began < writer.budget_s


def test_only_one_module_makes_clients_of_redis() -> None:
    makers = {"Redis", "StrictRedis", "ConnectionPool", "Sentinel", "RedisCluster", "from_url"}
    found = set()
    for path in sorted(ROOT.glob("listener/**/*.py")) + sorted(ROOT.glob("registrar/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = node.func
                name = (
                    called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                )
                if name in makers:
                    found.add(str(path.relative_to(ROOT)))
    assert found == {"listener/redis_client/client.py"}


@pytest.mark.parametrize("retry", [False, True])
def test_a_name_on_which_the_connection_is_cut_is_not_given(
    proxy: RespProxy, *, retry: bool
) -> None:
    proxy.deadly = frozenset(("CLIENT",))
    with closing(opened(proxy, retry=retry)) as client:
        assert client.ping()
    assert proxy.requests["CLIENT"] == 1


def test_a_name_that_is_refused_costs_no_connection(proxy: RespProxy) -> None:
    proxy.unsupported = frozenset(("CLIENT",))
    with closing(opened(proxy, retry=False)) as client:
        assert client.ping()
    assert proxy.connections == 1


def test_a_pool_has_its_callers_wait_and_opens_no_more_connections(proxy: RespProxy) -> None:
    with closing(opened(proxy, retry=True)) as client, ThreadPoolExecutor(64) as pool:
        assert all(pool.map(lambda _: client.blpop("nothing", timeout=0.05) is None, range(128)))
    assert proxy.connections <= MAX_CONNECTIONS


def test_a_pool_whose_connections_fail_has_them_all_back(proxy: RespProxy) -> None:
    with closing(opened(proxy, retry=False)) as client:
        proxy.deadly = frozenset(("PING", "CLIENT"))
        for _ in range(30):
            with pytest.raises(redis.ConnectionError):
                client.ping()
        assert client.connection_pool.get_connection_count()[1][0] == 0, "none counts as in use"
        proxy.deadly = frozenset()
        assert client.ping()


def test_a_pool_without_a_free_connection_says_so_in_time(proxy: RespProxy) -> None:
    client = connect(Secret(proxy.url), timeout_s=0.2, name="fota-test")
    with closing(client):
        pool = client.connection_pool
        taken = [pool.get_connection() for _ in range(MAX_CONNECTIONS)]
        with pytest.raises(redis.ConnectionError, match="every connection is in use"):
            client.ping()
        for each in taken:
            pool.release(each)
        assert client.ping()


@pytest.mark.parametrize("retry", [False, True])
def test_a_server_that_hangs_is_waited_for_once(*, retry: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        client = connect(Secret(url), timeout_s=0.3, name="fota-test", retry=retry)
        with closing(client), pytest.raises(redis.TimeoutError):
            client.ping()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
