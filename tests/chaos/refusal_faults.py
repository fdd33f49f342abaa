"""Faults of Redis, or of what stands before it, that refuse one thing and take others."""

import time
from random import Random

from tests.chaos.fault import Fault
from tests.chaos.stages import refusing, single
from tests.chaos.worlds import SingleWorld

# More than one message has, and less than a group of some.
MOST_BYTES = 8 * 2**10


def take_a_right(world: SingleWorld, chance: Random) -> None:
    _without("evalsha", world, chance.uniform(0.5, 3.0))


def limit_requests(world: SingleWorld, chance: Random) -> None:
    world.refusing.most_bytes = MOST_BYTES
    try:
        _fill_the_spool(world, chance)
    finally:
        world.refusing.most_bytes = 2**40


def cut_requests(world: SingleWorld, chance: Random) -> None:
    world.refusing.cut_bytes = MOST_BYTES
    try:
        _fill_the_spool(world, chance)
    finally:
        world.refusing.cut_bytes = 2**40


def _fill_the_spool(world: SingleWorld, chance: Random) -> None:
    """What waited then comes in large requests."""
    _without("set", world, chance.uniform(0.5, 2.0))
    time.sleep(chance.uniform(0.5, 2.0))


def _without(command: str, world: SingleWorld, seconds: float) -> None:
    world.node.ask("ACL", "SETUSER", "default", f"-{command}")
    try:
        time.sleep(seconds)
    finally:
        world.node.ask("ACL", "SETUSER", "default", f"+{command}")


FAULTS = (
    Fault("right-taken", "the service may not call its script for up to 3 s", single, take_a_right),
    Fault(
        "request-limit",
        "what stands before Redis answers requests above 8 KiB with an error",
        refusing,
        limit_requests,
    ),
    Fault(
        "request-cut",
        "what stands before Redis cuts the connection on requests above 8 KiB",
        refusing,
        cut_requests,
    ),
)
