"""Faults of the spool's disk, and of other processes that lock, read or remove its files."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random

from bench.chaos.alarm import REFUSES, SPOOLS, Alarm
from bench.chaos.environments.environment import Environment
from bench.chaos.environments.single import (
    SingleEnvironment,
    SlowDiskEnvironment,
    single,
    slow_disk,
)
from bench.chaos.fault import Fault
from bench.chaos.faults.redis_server import hung
from testbed.polling import wait_until

SYNC_S = 3.0
# Of SQLite in WAL mode.
SUFFIXES = ("", "-wal", "-shm")


def slow_down(environment: SlowDiskEnvironment, rng: Random) -> None:
    with hung(environment.node):
        environment.disk.delay(sync_s=SYNC_S)
        try:
            time.sleep(rng.uniform(3.0, 5.0))
        finally:
            environment.disk.delay()


def lock_journal(environment: SingleEnvironment, rng: Random) -> None:
    with hung(environment.node):
        _wait_until_spooled(environment)
        journal = sqlite3.connect(environment.journal, isolation_level=None, timeout=10)
        with closing(journal) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(rng.uniform(2.0, 4.0))
            connection.execute("ROLLBACK")


def read_journal(environment: SingleEnvironment, rng: Random) -> None:
    with hung(environment.node):
        _wait_until_spooled(environment)
        journal = sqlite3.connect(environment.journal, isolation_level=None)
        with closing(journal) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM message").fetchone()
            time.sleep(rng.uniform(2.0, 4.0))
            # The drainer deletes what the transaction still reads.
            environment.node.thaw()
            time.sleep(1.0)
            connection.execute("ROLLBACK")


def remove_journal(environment: SingleEnvironment, rng: Random) -> None:
    environment.node.kill()
    try:
        _wait_until_spooled(environment)
        for _ in range(4):
            for suffix in rng.sample(SUFFIXES, rng.randrange(1, 4)):
                Path(f"{environment.journal}{suffix}").unlink(missing_ok=True)
            time.sleep(rng.uniform(0.3, 1.0))
    finally:
        environment.node.start()


def _wait_until_spooled(environment: Environment) -> None:
    wait_until(lambda: environment.spooled() > 0, environment.service.log)


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
        lock_journal,
        Alarm("readyz", REFUSES.pattern, 4.0),
        may_refuse=True,
    ),
    Fault(
        "journal-read",
        "Redis hangs while another process reads the journal in one long transaction",
        single,
        read_journal,
        SPOOLS,
    ),
    Fault(
        "journal-removed",
        "Redis is gone, and files of the journal are removed again and again",
        single,
        remove_journal,
        Alarm("readyz", SPOOLS.pattern, 2.0),
    ),
)
