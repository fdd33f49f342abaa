"""The registrar on a network that reaches ThingSpace through an HTTP proxy alone, which nobody's DNS but the proxy's can find."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from testbed.polling import wait_until
from testbed.process import BIN, ChildProcess
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service
from tests.support.certificates import make_certificate, server_context
from tests.support.connect_proxy import ConnectProxy, connect_proxy, tls_front

# Reserved by RFC 2606: no name server knows it.
HOST = "thingspace.invalid"
LOGIN = ("proxy-user", "proxy-password-that-no-log-may-hold")


# What is said where the proxy is not even asked.
NEVER_AT_THE_PROXY = ("unknown-host", "Connection refused", "REQUESTS_CA_BUNDLE names /nowhere.pem")


class Network(NamedTuple):
    """ThingSpace behind a proxy, and the settings of somebody who is to use it."""

    proxy: ConnectProxy
    sandbox: Sandbox
    settings: dict[str, str]


@pytest.fixture
def network(tmp_path: Path, redis_url: str) -> Iterator[Network]:
    certificate = make_certificate(tmp_path, HOST)
    with Sandbox() as sandbox:
        url = urlsplit(sandbox.base_url)
        target = (url.hostname or "", url.port or 0)
        with (
            tls_front(server_context(certificate), target) as front,
            connect_proxy({f"{HOST}:443": front}, login=LOGIN) as proxy,
        ):
            settings = {
                **sandbox.environment(),
                "THINGSPACE_BASE_URL": f"https://{HOST}/api",
                "PUBLIC_URL": "http://127.0.0.1:1/cb",
                "CALLBACK_TOKEN": "token-of-the-tests-of-proxies",
                "REGISTRAR_PROBE": "off",
                "REDIS_URL": redis_url,
                "HTTPS_PROXY": f"http://{':'.join(LOGIN)}@127.0.0.1:{proxy.port}",
                "REQUESTS_CA_BUNDLE": str(certificate),
                "LOG_LEVEL": "debug",
            }
            yield Network(proxy, sandbox, settings)


def registrar(command: str, settings: dict[str, str], folder: Path) -> tuple[int, str]:
    """A command by hand: its exit status, and all that it printed."""
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "SPOOL_DIR": f"{folder}/spool", **settings}
    words = ("python", "-m", "registrar", *command.split())
    with ChildProcess(*words, environ=environ) as process:
        return process.wait(), process.log()


def test_registration_goes_through_the_proxy_and_nothing_of_it_in_clear(network: Network) -> None:
    settings = network.settings | {"LOG_FORMAT": "text"}
    with Service(*SUPERVISED, **settings) as service:
        wait_until(lambda: bool(network.sandbox.registered_url()), service.log)
        service.signal()
        assert service.wait() == 0, service.log()
        log = service.log()
    assert network.sandbox.registered_url() is None
    assert set(network.proxy.targets) == {f"{HOST}:443"}
    assert LOGIN[1] not in log
    # The proxy saw neither the provider's credentials nor what they are for, and ThingSpace not the proxy's.
    assert b"/api/" not in network.proxy.clear
    assert network.sandbox.password.encode() not in network.proxy.clear
    sent = str(network.sandbox.requests())
    assert "/fota/" in sent
    assert "roxy-" not in sent


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.quick_cases(1)
def test_commands_use_the_proxy_by_whatever_variable_names_it(
    name: str, network: Network, tmp_path: Path
) -> None:
    settings = {**network.settings, name: network.settings["HTTPS_PROXY"]}
    if name != "HTTPS_PROXY":
        del settings["HTTPS_PROXY"]
    status, output = registrar("register", settings, tmp_path)
    assert status == 0, output
    assert str(network.sandbox.registered_url()).startswith(settings["PUBLIC_URL"])
    assert LOGIN[1] not in output


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        # Nobody but the proxy can resolve the name: what goes round it is seen by that.
        ({"NO_PROXY": HOST}, "unknown-host"),
        ({"NO_PROXY": ".invalid,localhost"}, "unknown-host"),
        ({"no_proxy": "*"}, "unknown-host"),
        ({"HTTPS_PROXY": ""}, "unknown-host"),
        ({"HTTPS_PROXY": "http://127.0.0.1:{port}"}, "407 Proxy Authentication Required"),
        ({"HTTPS_PROXY": "http://proxy-user:wrong-password@127.0.0.1:{port}"}, "proxy-refused"),
        ({"HTTPS_PROXY": "http://proxy-user:wrong-password@127.0.0.1:1"}, "Connection refused"),
        # A proxy that looks into TLS has a certificate of its own, which must be named.
        ({"REQUESTS_CA_BUNDLE": ""}, "certificate-refused"),
        # OpenSSL's own variable does not change what is trusted for ThingSpace.
        ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "{certificate}"}, "certificate-refused"),
        ({"REQUESTS_CA_BUNDLE": "/nowhere.pem"}, "REQUESTS_CA_BUNDLE names /nowhere.pem"),
    ],
    ids=str,
)
@pytest.mark.quick_cases(3)
def test_cause_is_named_without_the_proxys_password(
    changed: dict[str, str], says: str, network: Network, tmp_path: Path
) -> None:
    places = {
        "{port}": str(network.proxy.port),
        "{certificate}": network.settings["REQUESTS_CA_BUNDLE"],
    }
    for old, new in places.items():
        changed = {name: value.replace(old, new) for name, value in changed.items()}
    status, output = registrar("status", network.settings | changed, tmp_path)
    assert status != 0
    assert says in output
    assert LOGIN[1] not in output
    assert "wrong-password" not in output
    assert bool(network.proxy.targets) == (says not in NEVER_AT_THE_PROXY)
