"""The ports of the servers that tests start: each is somebody's own, from its choice to the end."""

import subprocess
import sys

import pytest

from testbed import redis_nodes
from testbed.redis_process import ServerFailedError
from testbed.service import ROOT

ASK_FOR_THE_SAME = (
    "import sys; from sandbox import redis_nodes\n"
    "redis_nodes.PORTS = [int(sys.argv[1])]; print(redis_nodes.free_port())\n"
)


def test_a_port_is_given_once_even_before_a_server_listens_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = redis_nodes.free_port()
    monkeypatch.setattr(redis_nodes, "PORTS", [port])
    with pytest.raises(ServerFailedError, match="no free port"):
        redis_nodes.free_port()


def test_a_port_is_given_once_among_processes() -> None:
    asked = [sys.executable, "-c", ASK_FOR_THE_SAME, str(redis_nodes.free_port())]
    other = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "no free port" in other.stderr
