"""Faults of a Redis, or of a proxy before it, that refuses some commands and executes others."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

from bench.chaos.alarm import Alarm, Exempt
from bench.chaos.environments.distributed import sharded
from bench.chaos.environments.environment import PATH
from bench.chaos.environments.single import (
    SingleEnvironment,
    few_clients,
    id_ahead,
    resp_proxied,
    single,
    tcp_proxied,
)
from bench.chaos.fault import Fault
from bench.rig.store import stream_key
from testbed.polling import wait_until

# A batch of a few small messages exceeds it.
LIMIT_BYTES = 2**15
NO_LIMIT = 2**40
LARGE_MESSAGES, LARGE_BYTES = 3, 2**16
SET_ASIDE = Alarm("check", "^error +spool: .*set aside", 3.0)
HOUR_MS = 3_600_000
REFUSED_BODIES, REFUSED_SENDERS = 300, 30


def refuse_large_requests(environment: SingleEnvironment, rng: Random) -> None:
    _limit("most_bytes", environment, rng)


def cut_large_requests(environment: SingleEnvironment, rng: Random) -> None:
    _limit("cut_bytes", environment, rng)


def _limit(limit: str, environment: SingleEnvironment, rng: Random) -> None:
    setattr(environment.resp_proxy, limit, LIMIT_BYTES)
    try:
        # The drainer first sends the spooled messages in batches, which are too large although the
        # messages are not.
        with _forbidden(environment, "set"):
            time.sleep(rng.uniform(0.5, 2.0))
        for number in range(LARGE_MESSAGES):
            environment.send(f"large-{time.monotonic()}-{number}", padding="x" * LARGE_BYTES)
        wait_until(lambda: environment.set_aside() == LARGE_MESSAGES, environment.service.log)
        # Long enough for `check`, which takes more than a second under load, to report them.
        time.sleep(rng.uniform(4.0, 5.0))
    finally:
        setattr(environment.resp_proxy, limit, NO_LIMIT)
    # As an operator does once the limit is raised.
    environment.command("spool", "retry", "--all")


def forbid_scripts(environment: SingleEnvironment, rng: Random) -> None:
    with _forbidden(environment, "eval", "evalsha"):
        time.sleep(rng.uniform(3.0, 5.0))


def forbid_xadd(environment: SingleEnvironment, rng: Random) -> None:
    with _forbidden(environment, "xadd"):
        time.sleep(rng.uniform(3.0, 5.0))


def forbid_client_names(environment: SingleEnvironment, rng: Random) -> None:
    with _forbidden(environment, "client"):
        # So that the service connects again, and cannot name its connections.
        environment.tcp_proxy.tear()
        time.sleep(rng.uniform(2.5, 4.0))


def add_entry_from_the_future(environment: SingleEnvironment, rng: Random) -> None:
    seconds, microseconds = environment.node.ask("TIME")
    now_ms = seconds * 1000 + microseconds // 1000
    ahead_ms = rng.randrange(HOUR_MS, 100 * HOUR_MS)
    environment.node.ask("XADD", stream_key(0), f"{now_ms + ahead_ms}-0", "data", "{}")
    time.sleep(rng.uniform(3.0, 4.0))


def flood_quarantine(environment: SingleEnvironment, rng: Random) -> None:
    def send_refused(number: int) -> None:
        body = json.dumps([number, rng.random()])
        assert environment.service.post(body, PATH).status_code == 400

    with ThreadPoolExecutor(REFUSED_SENDERS) as pool:
        list(pool.map(send_refused, range(REFUSED_BODIES)))


def wait(environment: SingleEnvironment, rng: Random) -> None:
    """The environment is the fault."""
    time.sleep(rng.uniform(3.0, 4.0))


@contextmanager
def _forbidden(environment: SingleEnvironment, *commands: str) -> Iterator[None]:
    """Revokes the right to some commands, for the duration of the block, from Redis's only user."""
    environment.node.ask("ACL", "SETUSER", "default", *(f"-{name}" for name in commands))
    try:
        yield
    finally:
        environment.node.ask("ACL", "SETUSER", "default", *(f"+{name}" for name in commands))


FAULTS = (
    Fault(
        "request-limit",
        "what stands before Redis answers requests above 32 KiB with an error; messages of 64 KiB come",
        resp_proxied,
        refuse_large_requests,
        SET_ASIDE,
    ),
    Fault(
        "request-cut",
        "what stands before Redis cuts the connection on requests above 32 KiB; messages of 64 KiB come",
        resp_proxied,
        cut_large_requests,
        SET_ASIDE,
    ),
    Fault(
        "no-evalsha",
        "the user of the service has no right to scripts for 3 to 5 s",
        single,
        forbid_scripts,
        Alarm("check", "^error +redis: .*eval", 3.0),
    ),
    Fault(
        "no-xadd",
        "the user of the service has no right to XADD for 3 to 5 s",
        single,
        forbid_xadd,
        Alarm("check", "^error +redis: .*xadd", 3.0),
    ),
    Fault(
        "no-names",
        "CLIENT is refused while connections are made anew, so that they have no names",
        tcp_proxied,
        forbid_client_names,
        Alarm("check", "^warning +redis: CLIENT SETNAME", 2.5),
    ),
    Fault(
        "id-ahead",
        "the stream has an entry whose id lies hours ahead of the clock",
        id_ahead,
        add_entry_from_the_future,
        Alarm("check", "ahead", 3.0),
    ),
    Fault(
        "refusals",
        "300 bodies at once that are refused and kept in the quarantine; few clients may connect",
        few_clients,
        flood_quarantine,
        Exempt("the bounds of the pools hold"),
    ),
    Fault(
        "crossslot",
        "a proxy hides two servers behind one address, and answers CROSSSLOT",
        sharded,
        wait,
        Alarm("check", "redis[+]cluster", 3.0),
    ),
)
