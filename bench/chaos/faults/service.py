"""Faults of the service itself: its processes are killed or stopped, its disk or spool is full."""

import errno
import resource
import signal
import time
from pathlib import Path
from random import Random

from bench.chaos.alarm import REFUSES, Exempt
from bench.chaos.environments.single import SingleEnvironment, single, small_disk, small_spool
from bench.chaos.fault import Fault
from bench.chaos.faults.redis_server import hung
from testbed.polling import wait_until

MAX_FILE_BYTES = 2**16
HIT = Exempt("what would report it is hit itself; a supervisor sees it")


def kill_workers(environment: SingleEnvironment, rng: Random) -> None:
    for _ in range(3):
        environment.kill_worker(rng.choice(environment.workers()))
        time.sleep(rng.uniform(0.2, 1.0))
        environment.wait_for_workers()


def kill_master(environment: SingleEnvironment, rng: Random) -> None:
    environment.kill_master()
    time.sleep(rng.uniform(0.0, 1.0))
    environment.start_service()


def terminate(environment: SingleEnvironment, rng: Random) -> None:
    environment.service.signal(signal.SIGTERM)
    assert environment.service.wait() == 0, environment.service.log()
    environment.start_service()


def kill_everything(environment: SingleEnvironment, rng: Random) -> None:
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


def fill_spool(environment: SingleEnvironment, rng: Random) -> None:
    with hung(environment.node):
        wait_until(lambda: not environment.service.ready(), environment.service.log)
        time.sleep(rng.uniform(0.0, 1.0))


def fill_disk(environment: SingleEnvironment, rng: Random) -> None:
    filler = environment.journal.with_name("filler")
    try:
        _write_until_full(filler)
        fill_spool(environment, rng)
        # Redis answers again before the disk has room.
        time.sleep(rng.uniform(0.0, 2.0))
    finally:
        filler.unlink()


def limit_files(environment: SingleEnvironment, rng: Random) -> None:
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


FAULTS = (
    Fault(
        "worker-kill",
        "SIGKILL of one gunicorn worker after the other",
        single,
        kill_workers,
        HIT,
        may_break=True,
    ),
    Fault(
        "master-kill",
        "SIGKILL of the gunicorn master, and a new start",
        single,
        kill_master,
        HIT,
        may_break=True,
    ),
    Fault(
        "sigterm",
        "SIGTERM of gunicorn under load, and a new start",
        single,
        terminate,
        HIT,
        may_break=True,
    ),
    Fault(
        "kill-everything",
        "SIGKILL of Redis, gunicorn and all workers at once, and a new start",
        single,
        kill_everything,
        HIT,
        may_break=True,
    ),
    Fault(
        "spool-full",
        "Redis hangs until the spool has its greatest size",
        small_spool,
        fill_spool,
        REFUSES,
        may_refuse=True,
    ),
    Fault(
        "disk-full",
        "Redis hangs while the disk of the spool, a tmpfs, is full",
        small_disk,
        fill_disk,
        REFUSES,
        may_refuse=True,
        mounts=True,
    ),
    Fault(
        "file-limit",
        "Redis hangs, and the operating system lets no file of the service grow",
        single,
        limit_files,
        REFUSES,
        may_refuse=True,
    ),
)
