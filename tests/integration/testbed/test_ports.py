"""The ports of the servers that tests start: each is somebody's own, from its choice to the end."""

import socket
import subprocess
import sys

import pytest

from testbed import ports
from testbed.ports import NoFreePortError, free_port, free_port_near
from testbed.process import ROOT

ASK_FOR_THE_SAME = (
    "import sys; from testbed import ports\n"
    "ports.PORTS = [int(sys.argv[1])]; print(ports.free_port())\n"
)


def test_a_port_is_given_once_even_before_a_server_listens_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setattr(ports, "PORTS", [port])
    with pytest.raises(NoFreePortError):
        free_port()


def test_a_port_is_given_once_among_processes() -> None:
    command = [sys.executable, "-c", ASK_FOR_THE_SAME, str(free_port())]
    other = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "NoFreePortError" in other.stderr
    assert other.stdout == ""


@pytest.mark.parametrize("offset", [0, ports.BUS_OFFSET])
def test_a_port_is_not_given_while_a_server_listens_there_or_at_its_bus(
    offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = next(p for p in ports.PORTS if ports.is_free(p) and ports.is_free(p + ports.BUS_OFFSET))
    monkeypatch.setattr(ports, "PORTS", [port])
    with socket.create_server((ports.HOST, port + offset)), pytest.raises(NoFreePortError):
        free_port()


def test_a_preferred_port_is_given_only_while_nobody_listens_there() -> None:
    port = free_port()
    assert free_port_near(port) == port
    with socket.create_server((ports.HOST, port)):
        assert free_port_near(port) != port


def test_an_http3_server_can_have_udp_at_a_given_port() -> None:
    port = free_port()
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind((ports.HOST, port))
        assert udp.getsockname() == (ports.HOST, port)
