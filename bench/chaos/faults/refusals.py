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
from bench.chaos.fault import fault
from bench.rig.store import stream_key
from testbed.polling import wait_until

# A batch of a few small messages exceeds it.
LIMIT_BYTES = 2**15
NO_LIMIT = 2**40
LARGE_MESSAGES, LARGE_BYTES = 3, 2**16
SET_ASIDE = Alarm("check", "^error +spool: .*set aside", 3.0)
HOUR_MS = 3_600_000
REFUSED_BODIES, REFUSED_SENDERS = 300, 30


@fault("request-limit", resp_proxied, SET_ASIDE)
def refuse_large_requests(environment: SingleEnvironment, rng: Random) -> None:
    """What stands before Redis answers requests above 32 KiB with an error; messages of 64 KiB come."""
    environment.resp_proxy.most_bytes = LIMIT_BYTES
    try:
        _send_large_messages(environment, rng)
    finally:
        environment.resp_proxy.most_bytes = NO_LIMIT
    _retry_set_aside(environment)


@fault("request-cut", resp_proxied, SET_ASIDE)
def cut_large_requests(environment: SingleEnvironment, rng: Random) -> None:
    """What stands before Redis cuts the connection on requests above 32 KiB; messages of 64 KiB come."""
    environment.resp_proxy.cut_bytes = LIMIT_BYTES
    try:
        _send_large_messages(environment, rng)
    finally:
        environment.resp_proxy.cut_bytes = NO_LIMIT
    _retry_set_aside(environment)


def _send_large_messages(environment: SingleEnvironment, rng: Random) -> None:
    # The drainer first sends the spooled messages in batches, which are too large although the
    # messages are not.
    with _forbidden(environment, "set"):
        time.sleep(rng.uniform(0.5, 2.0))
    for number in range(LARGE_MESSAGES):
        environment.send(f"large-{time.monotonic()}-{number}", padding="x" * LARGE_BYTES)
    wait_until(lambda: environment.set_aside() == LARGE_MESSAGES, environment.service.log)
    # Long enough for `check`, which takes more than a second under load, to report them.
    time.sleep(rng.uniform(4.0, 5.0))


def _retry_set_aside(environment: SingleEnvironment) -> None:
    """As an operator does once the limit is raised."""
    environment.command("spool", "retry", "--all")


@fault("no-evalsha", single, Alarm("check", "^error +redis: .*eval", 3.0))
def forbid_scripts(environment: SingleEnvironment, rng: Random) -> None:
    """The user of the service has no right to scripts for 3 to 5 s."""
    with _forbidden(environment, "eval", "evalsha"):
        time.sleep(rng.uniform(3.0, 5.0))


@fault("no-xadd", single, Alarm("check", "^error +redis: .*xadd", 3.0))
def forbid_xadd(environment: SingleEnvironment, rng: Random) -> None:
    """The user of the service has no right to XADD for 3 to 5 s."""
    with _forbidden(environment, "xadd"):
        time.sleep(rng.uniform(3.0, 5.0))


@fault("no-names", tcp_proxied, Alarm("check", "^warning +redis: CLIENT SETNAME", 2.5))
def forbid_client_names(environment: SingleEnvironment, rng: Random) -> None:
    """CLIENT is refused while connections are made anew, so that they have no names."""
    with _forbidden(environment, "client"):
        # So that the service connects again, and cannot name its connections.
        environment.tcp_proxy.tear()
        time.sleep(rng.uniform(2.5, 4.0))


@fault("id-ahead", id_ahead, Alarm("check", "ahead", 3.0))
def add_entry_from_the_future(environment: SingleEnvironment, rng: Random) -> None:
    """The stream has an entry whose id lies hours ahead of the clock."""
    seconds, microseconds = environment.node.ask("TIME")
    now_ms = seconds * 1000 + microseconds // 1000
    ahead_ms = rng.randrange(HOUR_MS, 100 * HOUR_MS)
    environment.node.ask("XADD", stream_key(0), f"{now_ms + ahead_ms}-0", "data", "{}")
    time.sleep(rng.uniform(3.0, 4.0))


@fault("refusals", few_clients, Exempt("the bounds of the pools hold"))
def flood_quarantine(environment: SingleEnvironment, rng: Random) -> None:
    """300 bodies at once that are refused and kept in the quarantine; few clients may connect."""

    def send_refused(number: int) -> None:
        body = json.dumps([number, rng.random()])
        assert environment.service.post(body, PATH).status_code == 400

    with ThreadPoolExecutor(REFUSED_SENDERS) as pool:
        list(pool.map(send_refused, range(REFUSED_BODIES)))


@fault("crossslot", sharded, Alarm("check", "redis[+]cluster", 3.0))
def wait(environment: SingleEnvironment, rng: Random) -> None:
    """A proxy hides two servers behind one address, and answers CROSSSLOT."""
    time.sleep(rng.uniform(3.0, 4.0))


@contextmanager
def _forbidden(environment: SingleEnvironment, *commands: str) -> Iterator[None]:
    """Revokes the right to some commands, for the duration of the block, from Redis's only user."""
    environment.node.ask("ACL", "SETUSER", "default", *(f"-{name}" for name in commands))
    try:
        yield
    finally:
        environment.node.ask("ACL", "SETUSER", "default", *(f"+{name}" for name in commands))
