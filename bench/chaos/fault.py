"""What a fault is."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.chaos.alarm import Alarm, Exempt
from bench.chaos.stages import Stage

# Takes the world of its stage; returns once what it did is mended.
Strike = Callable[[Any, Random], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what the sender may then see of it.

    Attributes:
        name: as `--fault` takes it.
        sentence: what happens.
        stage: makes the world that it strikes.
        strike: does it, and mends it.
        alarm: what must report it while it lasts.
        may_refuse: whether 503 is a right answer to it: neither Redis nor the spool works.
        may_break: whether connections may be refused or break: gunicorn itself is hit.
        is_long: too long to be dealt out unasked.
        may_set_aside: whether messages that Redis refuses by themselves may be left in the spool.
        p99_s: what 99 of 100 answers may take, once the service has noticed.
        mounts: whether it needs the right to mount a file system.
        compiles: whether it needs a C compiler.
    """

    name: str
    sentence: str
    stage: Stage
    strike: Strike
    alarm: Alarm | Exempt
    may_refuse: bool = False
    may_break: bool = False
    may_set_aside: bool = False
    is_long: bool = False
    p99_s: float | None = None
    mounts: bool = False
    compiles: bool = False
