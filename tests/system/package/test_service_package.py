"""The service as it runs from the wheel: in an empty folder, outside the checkout, with gunicorn's configuration in force."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from testbed.polling import wait_until
from testbed.registrar_process import TOKEN, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import RECEIVER, Service
from tests.support.installations import PINS, Environment

pytestmark = [pytest.mark.slow, pytest.mark.installs]

SUPERVISED = ("fota-registrar", "run", "--", *RECEIVER)
MESSAGE = b'{"type": "upgradeFinished", "upgradeFinished": {"upgradeId": "u-1"}}'
NOT_IN_FORCE = "listener.wsgi does not run like this"
HOW_TO_START = "gunicorn -c python:listener.gunicorn_conf listener.wsgi:app"
REFUSED = "gunicorn cannot run the service with these options"
# What gunicorn's master exits with if a worker cannot load the application, and if its own configuration refuses.
LOAD_ERROR, WRONG_OPTIONS = 4, 2
WITHOUT_OURS = (LOAD_ERROR, (NOT_IN_FORCE, HOW_TO_START))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """The wheel with the extra `service`, and the pins of a deployment."""
    made = Environment(tmp_path_factory.mktemp("service"))
    made.install("--constraint", PINS, f"{wheel}[service]")
    return made


def service(environment: Environment, *command: str, **more: str) -> Service:
    made = Service(*command, **environment.environ(**more))
    made.folder = environment.outside
    return made


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def test_service_runs_from_the_wheel_in_an_empty_folder(
    environment: Environment, redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        own = settings(sandbox, tmp_path, REDIS_URL=redis_url)
        with service(environment, *SUPERVISED, **own) as running:
            wait_until_registered(running)
            assert running.ready()
            assert sandbox.registered_url() == f"{running.url}/cb/{TOKEN}"
            assert running.post(MESSAGE, f"/cb/{TOKEN}").status_code == 200
            assert redis_client.xlen("{fota:0}:messages") == 1
            version = json.loads(answer(f"{running.ops_url}/version"))
            assert version["name"] == "thingspace-fota-listener"
            assert version["version"] == environment.packages()[version["name"]]
            # Templates and static files are in the wheel.
            assert "u-1" in answer(f"{running.ops_url}/")
            running.signal()
            assert running.wait() == 0, running.log()
        assert sandbox.registered_url() is None
    assert list(environment.outside.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        pytest.param(RECEIVER, WITHOUT_OURS, id="none"),
        pytest.param(
            ("gunicorn", "-w", "3", "-k", "gthread", RECEIVER[1]),
            WITHOUT_OURS,
            id="none, another worker class",
        ),
        pytest.param(
            (*SUPERVISED[:-1], "-c", "{other}", RECEIVER[1]),
            WITHOUT_OURS,
            id="another configuration",
        ),
        pytest.param(
            (*SUPERVISED[:-1], "--chdir", "/", RECEIVER[1]),
            (WRONG_OPTIONS, (REFUSED, "chdir (--chdir)")),
            id="another folder",
        ),
        pytest.param(
            (*SUPERVISED[:-1], "-k", "sync", RECEIVER[1]),
            (WRONG_OPTIONS, (REFUSED, "worker_class (-k, --worker-class)")),
            id="another worker class",
        ),
    ],
)
def test_service_refuses_to_start_with_another_configuration(
    environment: Environment,
    redis_url: str,
    tmp_path: Path,
    command: tuple[str, ...],
    refusal: tuple[int, tuple[str, ...]],
) -> None:
    status, sentences = refusal
    other = tmp_path / "other.py"
    other.write_text("workers = 3\n")
    words = [word.format(other=other) for word in command]
    own = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN, "REGISTRAR": "off"}
    with service(environment, *words, **own) as running:
        assert running.wait() == status, running.log()
        assert running.family() == []
        log = running.log()
    for sentence in sentences:
        assert log.count(sentence) == 1, log
    assert "Traceback" not in log, log


@pytest.mark.parametrize("way", ["option", "file in the folder"])
def test_configuration_of_the_operators_own_begins_with_the_packages(
    environment: Environment, redis_url: str, tmp_path: Path, way: str
) -> None:
    name = "own.py" if way == "option" else "gunicorn.conf.py"
    (tmp_path / name).write_text(
        "from listener.gunicorn_conf import *\n"
        "def when_ready(arbiter): arbiter.log.info('mine is in force')\n"
    )
    option = ("-c", name) if way == "option" else ()
    own = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN, "REGISTRAR": "off"}
    running = service(environment, *SUPERVISED[:-1], *option, RECEIVER[1], **own)
    running.folder = tmp_path
    with running:
        running.wait_until_ready()
        wait_until(lambda: "mine is in force" in running.log(), running.log)
        assert running.post(MESSAGE, f"/cb/{TOKEN}").status_code == 200
        assert running.stop() == 0, running.log()
