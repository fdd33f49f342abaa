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
from bench.chaos.fault import fault
from bench.chaos.faults.redis_server import hung
from testbed.polling import wait_until

SYNC_S = 3.0
# Of SQLite in WAL mode.
SUFFIXES = ("", "-wal", "-shm")


@fault(
    "disk-slow",
    slow_disk,
    Alarm("readyz", f"{SPOOLS.pattern}|{REFUSES.pattern}", 3.0),
    may_refuse=True,
    compiles=True,
)
def slow_down(environment: SlowDiskEnvironment, rng: Random) -> None:
    """Redis hangs while each sync of the spool's disk takes 3 s."""
    with hung(environment.node):
        environment.disk.delay(sync_s=SYNC_S)
        try:
            time.sleep(rng.uniform(3.0, 5.0))
        finally:
            environment.disk.delay()


@fault("journal-held", single, Alarm("readyz", REFUSES.pattern, 4.0), may_refuse=True)
def lock_journal(environment: SingleEnvironment, rng: Random) -> None:
    """Redis hangs while another process holds the journal for 2 to 4 s."""
    with hung(environment.node):
        _wait_until_spooled(environment)
        journal = sqlite3.connect(environment.journal, isolation_level=None, timeout=10)
        with closing(journal) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(rng.uniform(2.0, 4.0))
            connection.execute("ROLLBACK")


@fault("journal-read", single, SPOOLS)
def read_journal(environment: SingleEnvironment, rng: Random) -> None:
    """Redis hangs while another process reads the journal in one long transaction."""
    with hung(environment.node):
        _wait_until_spooled(environment)
        journal = sqlite3.connect(environment.journal, isolation_level=None)
        with closing(journal) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM message").fetchone()
            time.sleep(rng.uniform(2.0, 4.0))
            # The drainer deletes what the transaction still reads.
            environment.node.resume()
            time.sleep(1.0)
            connection.execute("ROLLBACK")


@fault("journal-removed", single, Alarm("readyz", SPOOLS.pattern, 2.0))
def remove_journal(environment: SingleEnvironment, rng: Random) -> None:
    """Redis is gone, and files of the journal are removed again and again."""
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
