"""Faults of the service itself: its processes are killed or stopped, its disk or spool is full."""

import errno
import resource
import signal
import time
from pathlib import Path
from random import Random

from bench.chaos.alarm import REFUSES, Exempt
from bench.chaos.environments.single import SingleEnvironment, single, small_disk, small_spool
from bench.chaos.fault import fault
from bench.chaos.faults.redis_server import hung
from testbed.polling import wait_until

MAX_FILE_BYTES = 2**16
HIT = Exempt("what would report it is hit itself; a supervisor sees it")


@fault("worker-kill", single, HIT, may_break=True)
def kill_workers(environment: SingleEnvironment, rng: Random) -> None:
    """SIGKILL of one gunicorn worker after the other."""
    for _ in range(3):
        environment.kill_worker(rng.choice(environment.workers()))
        time.sleep(rng.uniform(0.2, 1.0))
        environment.wait_for_workers()


@fault("master-kill", single, HIT, may_break=True)
def kill_master(environment: SingleEnvironment, rng: Random) -> None:
    """SIGKILL of the gunicorn master, and a new start."""
    environment.kill_master()
    time.sleep(rng.uniform(0.0, 1.0))
    environment.start_service()


@fault("sigterm", single, HIT, may_break=True)
def terminate(environment: SingleEnvironment, rng: Random) -> None:
    """SIGTERM of gunicorn under load, and a new start."""
    environment.service.signal(signal.SIGTERM)
    assert environment.service.wait() == 0, environment.service.log()
    environment.start_service()


@fault("kill-everything", single, HIT, may_break=True)
def kill_everything(environment: SingleEnvironment, rng: Random) -> None:
    """SIGKILL of Redis, gunicorn and all workers at once, and a new start."""
    if rng.random() < 0.5:
        # In half of the rounds the spool holds messages that must survive.
        environment.node.freeze()
        time.sleep(rng.uniform(1.5, 2.5))
    environment.node.kill()
    environment.service.kill()
    time.sleep(rng.uniform(0.0, 0.5))
    environment.service.start()
    environment.node.start()
    environment.service.wait_until_ready()


@fault("spool-full", small_spool, REFUSES, may_refuse=True)
def fill_spool(environment: SingleEnvironment, rng: Random) -> None:
    """Redis hangs until the spool has its greatest size."""
    with hung(environment.node):
        wait_until(lambda: not environment.service.ready(), environment.service.log)
        time.sleep(rng.uniform(0.0, 1.0))


@fault("disk-full", small_disk, REFUSES, may_refuse=True, mounts=True)
def fill_disk(environment: SingleEnvironment, rng: Random) -> None:
    """Redis hangs while the disk of the spool, a tmpfs, is full."""
    filler = environment.journal.with_name("filler")
    try:
        _write_until_full(filler)
        fill_spool.inject(environment, rng)
        # Redis answers again before the disk has room.
        time.sleep(rng.uniform(0.0, 2.0))
    finally:
        filler.unlink()


@fault("file-limit", single, REFUSES, may_refuse=True)
def limit_files(environment: SingleEnvironment, rng: Random) -> None:
    """Redis hangs, and the operating system lets no file of the service grow."""
    try:
        with hung(environment.node):
            _limit_file_size(environment, MAX_FILE_BYTES)
            time.sleep(rng.uniform(2.0, 3.0))
    finally:
        _limit_file_size(environment, None)


def _write_until_full(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _limit_file_size(environment: SingleEnvironment, soft: int | None) -> None:
    for process in environment.service.family():
        _, hard = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (hard if soft is None else soft, hard))
