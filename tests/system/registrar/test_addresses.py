"""The service is registered wherever gunicorn listens, or ends and says why it cannot be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.registrar_process import REGISTRAR, has_said, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service

GUNICORN = ("gunicorn", "listener.wsgi:app")
RUN = (*REGISTRAR, "run", "--")


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def environ(running_sandbox: Sandbox, redis_url: str, tmp_path: Path) -> dict[str, str]:
    running_sandbox.deregister_outside()
    return settings(running_sandbox, tmp_path, REDIS_URL=redis_url)


def registered_and_gone(service: Service, sandbox: Sandbox) -> None:
    with service:
        wait_until_registered(service)
        wait_until(sandbox.registered_url)
        service.signal()
        assert service.wait() == 0, service.log()
    assert sandbox.registered_url() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "bind"),
    [
        ("option", "unix:{folder}/web.sock"),
        ("option", "127.0.0.1:{port}"),
        ("option", "[::1]:{port}"),
        ("shell", "unix:{folder}/web.sock"),
        ("shell", "localhost:{port}"),
        ("environment", "[::1]:{port}"),
    ],
)
def test_an_address_of_its_own_choice_is_asked_for_readiness(
    way: str,
    bind: str,
    environ: dict[str, str],
    running_sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    address = bind.format(folder=tmp_path, port=free_port())
    if way == "environment":
        service = Service(*SUPERVISED, **environ, GUNICORN_CMD_ARGS=f"--bind={address}")
    elif way == "option":
        service = Service(*SUPERVISED, "--bind", address, **environ)
    else:
        words = " ".join((*GUNICORN, "-b", address))
        service = Service(*RUN, "sh", "-c", f"exec {words}", **environ)
    registered_and_gone(service, running_sandbox)


@pytest.mark.slow
def test_a_taken_port_does_not_matter_to_a_command_that_listens_elsewhere(
    environ: dict[str, str], running_sandbox: Sandbox, tmp_path: Path
) -> None:
    with Service(*GUNICORN, **{**environ, "SPOOL_DIR": str(tmp_path / "other")}) as other:
        other.wait_until_ready()
        service = Service(*SUPERVISED, "--bind", f"unix:{tmp_path}/web.sock", **environ)
        service.settings["PORT"] = str(other.port)
        registered_and_gone(service, running_sandbox)


def test_socket_activation_is_refused_by_name(environ: dict[str, str]) -> None:
    activated = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); "
        "os.environ['LISTEN_FDS'] = '1'; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    words = ["-m", "registrar", "run", "--", *GUNICORN]
    with Service(sys.executable, "-c", activated, *words, **environ) as service:
        assert service.wait() == 2, service.log()
        assert has_said(service, "systemd's socket activation is not supported")
