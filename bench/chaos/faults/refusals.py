"""Faults of a Redis, or of what stands before it, that refuses some things and takes others."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

from bench.chaos.alarm import Alarm, Exempt
from bench.chaos.fault import Fault
from bench.chaos.stages import ahead, few_clients, proxied, refusing, sharded, single
from bench.chaos.world import PATH, stream
from bench.chaos.worlds import SingleWorld
from testbed.polling import wait_until

# Less than a few small messages have together.
LIMIT_BYTES = 2**15
LARGE, LARGE_BYTES = 3, 2**16
SET_ASIDE = Alarm("check", "^error +spool: .*set aside", 3.0)
HOUR_MS = 3_600_000
FLOOD, FLOODERS = 300, 30


def limit_requests(world: SingleWorld, chance: Random) -> None:
    _limit("most_bytes", world, chance)


def cut_requests(world: SingleWorld, chance: Random) -> None:
    _limit("cut_bytes", world, chance)


def _limit(limit: str, world: SingleWorld, chance: Random) -> None:
    setattr(world.refusing, limit, LIMIT_BYTES)
    try:
        # What waits in the spool comes in requests that are too large, of messages that are not.
        with _without(world, ["-set"], ["+set"]):
            time.sleep(chance.uniform(0.5, 2.0))
        for number in range(LARGE):
            world.send(f"large-{time.monotonic()}-{number}", padding="x" * LARGE_BYTES)
        wait_until(lambda: world.set_aside() == LARGE, world.service.log)
        # So long that `check`, which takes more than a second under load, sees them.
        time.sleep(chance.uniform(4.0, 5.0))
    finally:
        setattr(world.refusing, limit, 2**40)
    # What an operator does once the limit is raised.
    world.command("spool", "retry", "--all")


def lose_scripts(world: SingleWorld, chance: Random) -> None:
    with _without(world, ["-eval", "-evalsha"], ["+eval", "+evalsha"]):
        time.sleep(chance.uniform(3.0, 5.0))


def lose_xadd(world: SingleWorld, chance: Random) -> None:
    with _without(world, ["-xadd"], ["+xadd"]):
        time.sleep(chance.uniform(3.0, 5.0))


def refuse_names(world: SingleWorld, chance: Random) -> None:
    with _without(world, ["-client"], ["+client"]):
        # So that connections are made anew, which can have no name.
        world.proxy.tear()
        time.sleep(chance.uniform(2.5, 4.0))


def go_ahead(world: SingleWorld, chance: Random) -> None:
    seconds, microseconds = world.node.ask("TIME")
    now_ms = seconds * 1000 + microseconds // 1000
    ahead_ms = chance.randrange(HOUR_MS, 100 * HOUR_MS)
    world.node.ask("XADD", stream(0), f"{now_ms + ahead_ms}-0", "data", "{}")
    time.sleep(chance.uniform(3.0, 4.0))


def flood_the_quarantine(world: SingleWorld, chance: Random) -> None:
    def refuse(number: int) -> None:
        body = json.dumps([number, chance.random()])
        assert world.service.post(body, PATH).status_code == 400

    with ThreadPoolExecutor(FLOODERS) as pool:
        list(pool.map(refuse, range(FLOOD)))


def wait(world: SingleWorld, chance: Random) -> None:
    time.sleep(chance.uniform(3.0, 4.0))


@contextmanager
def _without(world: SingleWorld, taken: Sequence[str], given: Sequence[str]) -> Iterator[None]:
    """The user that everybody is loses rights while the block runs."""
    world.node.ask("ACL", "SETUSER", "default", *taken)
    try:
        yield
    finally:
        world.node.ask("ACL", "SETUSER", "default", *given)


FAULTS = (
    Fault(
        "request-limit",
        "what stands before Redis answers requests above 32 KiB with an error; messages of 64 KiB come",
        refusing,
        limit_requests,
        SET_ASIDE,
    ),
    Fault(
        "request-cut",
        "what stands before Redis cuts the connection on requests above 32 KiB; messages of 64 KiB come",
        refusing,
        cut_requests,
        SET_ASIDE,
    ),
    Fault(
        "no-evalsha",
        "the user of the service has no right to scripts for 3 to 5 s",
        single,
        lose_scripts,
        Alarm("check", "^error +redis: .*eval", 3.0),
    ),
    Fault(
        "no-xadd",
        "the user of the service has no right to XADD for 3 to 5 s",
        single,
        lose_xadd,
        Alarm("check", "^error +redis: .*xadd", 3.0),
    ),
    Fault(
        "no-names",
        "CLIENT is refused while connections are made anew, so that they have no names",
        proxied,
        refuse_names,
        Alarm("check", "^warning +redis: CLIENT SETNAME", 2.5),
    ),
    Fault(
        "id-ahead",
        "the stream has an entry whose id lies hours ahead of the clock",
        ahead,
        go_ahead,
        Alarm("check", "ahead", 3.0),
    ),
    Fault(
        "refusals",
        "300 bodies at once that are refused and kept in the quarantine; few clients may connect",
        few_clients,
        flood_the_quarantine,
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
