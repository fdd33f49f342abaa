"""What stalls for a while, a disk or the whole service, costs no worker its life."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from testbed.polling import wait_until
from testbed.service import RECEIVER, Service

pytestmark = pytest.mark.slow

TOKEN = "token-of-the-stall-tests"
MEMORY = ("/dev/shm/", "/memfd:", "/SYSV", "/dev/zero")
# Of gunicorn, the least that the service accepts: shorter than the pause, so that the pause alone would have every worker killed.
TIMEOUT_S = 5
PAUSE_S = 8.0


@pytest.fixture
def service(redis_url: str) -> Iterator[Service]:
    settings = {"REDIS_URL": redis_url, "CALLBACK_TOKEN": TOKEN}
    with Service(*RECEIVER, "--timeout", str(TIMEOUT_S), **settings) as running:
        running.wait_until_ready()
        # The master and both workers.
        wait_until(lambda: len(running.family()) == 3, running.log)
        yield running


def send(service: Service, number: int) -> int:
    body = json.dumps({"type": "upgradeFinished", "upgradeFinished": {"upgradeId": f"u{number}"}})
    return service.post(body, f"/cb/{TOKEN}").status_code


def on_disk(process: psutil.Process) -> list[str]:
    """The files of a process that it writes to without meaning to wait: mapped, or touched each second."""
    opened = [Path(f"/proc/{process.pid}/fd/{file.name}") for file in fds(process)]
    names = {str(path.readlink()) for path in opened if path.exists() or path.is_symlink()}
    mapped = {
        entry.path
        for entry in process.memory_maps(grouped=False)
        if "w" in entry.perms and "s" in entry.perms
    }
    suspects = mapped | {name for name in names if "wgunicorn" in name or "fota-metrics" in name}
    return sorted(name for name in suspects if name.startswith("/") and not name.startswith(MEMORY))


def fds(process: psutil.Process) -> list[Path]:
    return list(Path(f"/proc/{process.pid}/fd").iterdir())


def test_neither_sign_of_life_nor_counts_of_a_worker_lie_on_a_disk(service: Service) -> None:
    assert send(service, 1) == 200
    found = {process.pid: on_disk(process) for process in service.family()}
    assert len(found) == 3
    assert not any(found.values()), found


def test_workers_survive_a_pause_of_the_whole_service(service: Service) -> None:
    before = [process.pid for process in service.family()]
    # The master first, so that it wakes first as well, and finds all its workers silent.
    for process in service.family():
        process.suspend()
    time.sleep(PAUSE_S)
    for process in service.family():
        process.resume()
    woke = time.monotonic()
    assert send(service, 1) == 200
    wait_until(lambda: time.monotonic() - woke > TIMEOUT_S + 1)
    assert [process.pid for process in service.family()] == before, service.log()
    assert "WORKER TIMEOUT" not in service.log()


def test_worker_that_hangs_is_still_replaced(service: Service) -> None:
    [_, first, *_] = service.family()
    first.suspend()
    wait_until(
        lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE, service.log
    )
    wait_until(lambda: len(service.family()) == 3, service.log)
    assert send(service, 2) == 200
