"""Faults of the service itself: its processes end, politely or not, and its disk fills up."""

import errno
import resource
import signal
import time
from pathlib import Path
from random import Random

from bench.chaos.alarm import REFUSES, Exempt
from bench.chaos.fault import Fault
from bench.chaos.stages import single, small_disk, small_journal
from bench.chaos.worlds import SingleWorld
from testbed.polling import wait_until

SMALL_FILE = 2**16
HIT = Exempt("what would report it is hit itself; a supervisor sees it")


def kill_workers(world: SingleWorld, chance: Random) -> None:
    for _ in range(3):
        world.kill_worker(chance.choice(world.workers()))
        time.sleep(chance.uniform(0.2, 1.0))
        world.wait_for_workers()


def kill_master(world: SingleWorld, chance: Random) -> None:
    world.kill_master()
    time.sleep(chance.uniform(0.0, 1.0))
    world.start_service()


def terminate(world: SingleWorld, chance: Random) -> None:
    world.service.signal(signal.SIGTERM)
    assert world.service.wait() == 0, world.service.log()
    world.start_service()


def kill_everything(world: SingleWorld, chance: Random) -> None:
    if chance.random() < 0.5:
        # Half of the time there is something in the spool that must survive.
        world.node.freeze()
        time.sleep(chance.uniform(1.5, 2.5))
    world.node.kill()
    world.service.kill()
    time.sleep(chance.uniform(0.0, 0.5))
    world.service.start()
    world.node.start()
    world.service.wait_until_ready()


def fill_the_spool(world: SingleWorld, chance: Random) -> None:
    world.node.freeze()
    try:
        wait_until(lambda: not world.service.ready(), world.service.log)
        time.sleep(chance.uniform(0.0, 1.0))
    finally:
        world.node.thaw()


def fill_the_disk(world: SingleWorld, chance: Random) -> None:
    filler = Path(world.service.settings["SPOOL_DIR"], "filler")
    try:
        _fill(filler)
        fill_the_spool(world, chance)
        # Redis is back before there is room again.
        time.sleep(chance.uniform(0.0, 2.0))
    finally:
        filler.unlink()


def limit_files(world: SingleWorld, chance: Random) -> None:
    world.node.freeze()
    try:
        _limit(world, SMALL_FILE)
        time.sleep(chance.uniform(2.0, 3.0))
    finally:
        world.node.thaw()
        _limit(world, None)


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as written:
        try:
            while written.write(b"x" * 4096):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _limit(world: SingleWorld, soft: int | None) -> None:
    for process in world.service.family():
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
        small_journal,
        fill_the_spool,
        REFUSES,
        may_refuse=True,
    ),
    Fault(
        "disk-full",
        "Redis hangs while the disk of the spool, a tmpfs, is full",
        small_disk,
        fill_the_disk,
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
