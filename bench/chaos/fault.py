"""What a fault is: a name, an environment, a function that injects it, what may follow from it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from bench.chaos.alarm import Alarm, Exempt
from bench.chaos.environments.environment import Factory

# Takes the fault's environment; returns once the fault is over.
Injection = Callable[[Any, Random], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what the sender may then notice.

    Attributes:
        name: for `--fault`.
        sentence: what happens; the docstring of `inject`.
        environment: makes the environment that the fault is injected into.
        inject: causes the fault and ends it.
        alarm: what must report the fault while it lasts.
        may_refuse: whether 503 is a correct answer: neither Redis nor the spool works.
        may_break: whether connections may be refused or reset: gunicorn itself is hit.
        may_set_aside: whether messages that Redis refuses one by one may remain in the spool.
        is_long: whether it runs only by name.
        p99_s: limit for the 99th percentile of the answers, once the service has noticed.
        mounts: whether it needs the right to mount a file system.
        compiles: whether it needs a C compiler.
    """

    name: str
    sentence: str
    environment: Factory
    inject: Injection
    alarm: Alarm | Exempt
    may_refuse: bool = False
    may_break: bool = False
    may_set_aside: bool = False
    is_long: bool = False
    p99_s: float | None = None
    mounts: bool = False
    compiles: bool = False


def fault(
    name: str, environment: Factory, alarm: Alarm | Exempt, **properties: Any
) -> Callable[[Injection], Fault]:
    """Makes a fault of the decorated injection, whose docstring says what happens."""

    def make(inject: Injection) -> Fault:
        return Fault(name, str(inject.__doc__), environment, inject, alarm, **properties)

    return make
