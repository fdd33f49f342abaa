"""The service and its commands with every secret in a file, as Docker, Kubernetes and systemd mount secrets."""

import json
import signal
from pathlib import Path

import psutil

from testbed.polling import wait_until
from testbed.process import ChildProcess
from testbed.sandbox_client import Sandbox
from testbed.service import RECEIVER, SUPERVISED, Service

TOKEN = "token-of-the-file-of-the-tests"
OTHER = "another-token-of-the-tests"
MESSAGE = json.dumps({"type": "upgradeFinished", "upgradeFinished": {"upgradeId": "u-1"}})
PROVIDER = ("THINGSPACE_KEY", "THINGSPACE_SECRET", "THINGSPACE_USERNAME", "THINGSPACE_PASSWORD")


def in_files(settings: dict[str, str], folder: Path) -> dict[str, str]:
    """The variables that name files, one for each setting, each file with a line break at its end."""
    for name, value in settings.items():
        (folder / name).write_text(f"{value}\n")
    return {f"{name}_FILE": str(folder / name) for name in settings}


def result_of(service: Service, command: str, **more: str) -> tuple[int, str]:
    words = ("python", "-m", *command.split())
    with ChildProcess(*words, environ=service.settings | more) as process:
        return process.wait(), process.log()


def workers_of(service: Service) -> list[psutil.Process]:
    [_, master, *_] = service.family()
    return master.children()


def test_service_keeps_the_secrets_that_its_files_held_at_the_start(
    redis_url: str, tmp_path: Path
) -> None:
    with Sandbox() as sandbox:
        environment = sandbox.environment()
        held = {name: environment.pop(name) for name in PROVIDER}
        held |= {"CALLBACK_TOKEN": TOKEN, "REDIS_URL": redis_url}
        settings = {**environment, **in_files(held, tmp_path), "WEB_CONCURRENCY": "1"}
        with Service(*SUPERVISED, **settings) as service:
            wait_until(lambda: bool(sandbox.registered_url()), service.log)
            assert str(sandbox.registered_url()).endswith(f"/cb/{TOKEN}")
            for command in ("registrar status", "listener stats"):
                assert result_of(service, command)[0] == 0
            # What is mounted may be replaced at any time; a worker that starts after that must not differ.
            (tmp_path / "CALLBACK_TOKEN").write_text(OTHER)
            (tmp_path / "REDIS_URL").unlink()
            [worker] = workers_of(service)
            worker.kill()
            wait_until(lambda: service.ready() and [worker] != workers_of(service), service.log)
            assert service.post(MESSAGE, f"/cb/{TOKEN}").status_code == 200
            assert service.post(MESSAGE, f"/cb/{OTHER}").status_code == 404
            # Nor must the workers of a reload.
            [worker] = workers_of(service)
            service.family()[1].send_signal(signal.SIGHUP)
            wait_until(lambda: not worker.is_running() and service.ready(), service.log)
            assert service.post(MESSAGE, f"/cb/{TOKEN}").status_code == 200
            for process in service.family()[1:]:
                assert not [name for name in process.environ() if name.startswith(PROVIDER)]
            service.signal()
            assert service.wait() == 0, service.log()
            log = service.log()
        assert sandbox.registered_url() is None
    assert not [value for value in held.values() if value in log]


def test_receiver_alone_keeps_them_as_well(redis_url: str, tmp_path: Path) -> None:
    files = in_files({"CALLBACK_TOKEN": TOKEN}, tmp_path)
    with Service(*RECEIVER, **files, REDIS_URL=redis_url, WEB_CONCURRENCY="1") as service:
        service.wait_until_ready()
        (tmp_path / "CALLBACK_TOKEN").write_text(OTHER)
        [worker] = service.family()[0].children()
        worker.kill()
        wait_until(lambda: service.ready() and not worker.is_running(), service.log)
        assert service.post(MESSAGE, f"/cb/{TOKEN}").status_code == 200


def test_commands_name_the_variable_of_a_file_that_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "url"
    broken.write_text("redis://:hidden@queue/0\nredis://:hidden@queue/1\n")
    # Never started: its environment is what the commands get.
    service = Service()
    try:
        for command in ("listener stats", "listener check", "registrar status"):
            status, text = result_of(service, command, REDIS_URL_FILE=str(broken))
            assert status == 2
            assert "REDIS_URL_FILE: names a file of several lines" in text
            assert "hidden" not in text
            status, text = result_of(
                service, command, REDIS_URL_FILE=str(broken), REDIS_URL="redis://localhost:1/0"
            )
            assert status == 2
            assert "REDIS_URL_FILE: must not be set together with REDIS_URL" in text
    finally:
        service.close()
