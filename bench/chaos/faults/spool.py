"""Faults of the disk of the spool, and of others who have their hands on it."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

from bench.chaos.alarm import REFUSES, SPOOLS, Alarm
from bench.chaos.fault import Fault
from bench.chaos.stages import single, slow_disk
from bench.chaos.worlds import SingleWorld, SlowDiskWorld
from testbed.polling import wait_until

SYNC_S = 3.0
PARTS = ("", "-wal", "-shm")


def slow_down(world: SlowDiskWorld, chance: Random) -> None:
    world.node.freeze()
    world.disk.delay(sync_s=SYNC_S)
    try:
        time.sleep(chance.uniform(3.0, 5.0))
    finally:
        world.disk.delay()
        world.node.thaw()


def hold_the_journal(world: SingleWorld, chance: Random) -> None:
    world.node.freeze()
    try:
        wait_until(lambda: world.spooled() > 0, world.service.log)
        with closing(sqlite3.connect(_journal(world), isolation_level=None, timeout=10)) as held:
            held.execute("BEGIN EXCLUSIVE")
            time.sleep(chance.uniform(2.0, 4.0))
            held.execute("ROLLBACK")
    finally:
        world.node.thaw()


def keep_reading(world: SingleWorld, chance: Random) -> None:
    world.node.freeze()
    try:
        wait_until(lambda: world.spooled() > 0, world.service.log)
        with closing(sqlite3.connect(_journal(world), isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM message").fetchone()
            time.sleep(chance.uniform(2.0, 4.0))
            world.node.thaw()
            time.sleep(1.0)
            reader.execute("ROLLBACK")
    finally:
        world.node.thaw()


def clean_up(world: SingleWorld, chance: Random) -> None:
    world.node.kill()
    try:
        wait_until(lambda: world.spooled() > 0, world.service.log)
        for _ in range(4):
            for part in chance.sample(PARTS, chance.randrange(1, 4)):
                Path(f"{_journal(world)}{part}").unlink(missing_ok=True)
            time.sleep(chance.uniform(0.3, 1.0))
    finally:
        world.node.start()


def _journal(world: SingleWorld) -> Path:
    return Path(world.service.settings["SPOOL_DIR"], "spool.db")


FAULTS = (
    Fault(
        "disk-slow",
        "Redis hangs while each sync of the spool's disk takes 3 s",
        slow_disk,
        slow_down,
        Alarm("readyz", f"{SPOOLS.pattern}|{REFUSES.pattern}", 3.0),
        may_refuse=True,
        compiles=True,
    ),
    Fault(
        "journal-held",
        "Redis hangs while another process holds the journal for 2 to 4 s",
        single,
        hold_the_journal,
        Alarm("readyz", REFUSES.pattern, 4.0),
        may_refuse=True,
    ),
    Fault(
        "journal-read",
        "Redis hangs while another process reads the journal in one long transaction",
        single,
        keep_reading,
        SPOOLS,
    ),
    Fault(
        "journal-removed",
        "Redis is gone, and files of the journal are removed again and again",
        single,
        clean_up,
        Alarm("readyz", SPOOLS.pattern, 2.0),
    ),
)
