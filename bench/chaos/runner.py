"""Plays rounds: calm, a fault under load, calm again, and then a look at what was kept."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random

from bench.chaos.alarm import Alarm, Watch
from bench.chaos.fault import Fault
from bench.chaos.forms import without_counters
from bench.chaos.ledger import Account, Content, Ledger, p99_s, settle
from bench.chaos.sender import Sender
from bench.chaos.world import PATH, WINDOW_S, World

CALM_S = 0.7
# How long after the fault everything acknowledged must be in Redis.
KEPT_WITHIN_S = 30.0
LOOK_S = 0.1
# A worker's first request of an outage may use its whole budget; then the worker has noticed.
NOTICED_S = 2.0


@dataclass(frozen=True)
class Round:
    """What one round did.

    `kept_s`: how long after the fault's end everything acknowledged was in Redis; None if it was
    not in time. `set_aside`: how many messages were set aside then. `reported`: whether the fault's
    alarm was seen while it lasted; None where it is exempt.
    """

    fault: Fault
    ledger: Ledger
    began: float
    ended: float
    kept_s: float | None
    set_aside: int
    reported: bool | None


@dataclass(frozen=True)
class Result:
    """A round, and what its messages came to when everything was over."""

    fault: Fault
    account: Account
    kept_s: float | None
    p99_s: float | None
    set_aside: int = 0
    reported: bool | None = None


def deal(faults: Sequence[Fault], rounds: int, chance: Random) -> list[Fault]:
    """So many rounds of faults: each equally often, as far as it goes, in random order.

    Those that need the same world stand together, because a world takes seconds to make.
    """
    shuffled = chance.sample(faults, len(faults))
    dealt = [shuffled[number % len(shuffled)] for number in range(rounds)]
    chance.shuffle(dealt)
    stages = list(dict.fromkeys(fault.stage for fault in faults))
    return sorted(dealt, key=lambda fault: stages.index(fault.stage))


def play(
    dealt: Sequence[Fault],
    folder: Path,
    rate: float,
    chance: Random,
    *,
    settings: Mapping[str, str],
    tell: Callable[[Round], None],
) -> Iterator[Result]:
    """Plays rounds, and settles them when those that share a world are over.

    Args:
        dealt: the faults.
        folder: for the files of all processes.
        rate: messages a second.
        chance: where all random choices come from.
        settings: see `Stage`.
        tell: is told of each round when it is over.
    """
    for number, (stage, faults) in enumerate(groupby(dealt, lambda fault: fault.stage)):
        within = folder / str(number)
        within.mkdir()
        with stage(within, settings) as world:
            yield from _play_in(world, list(faults), rate, chance, tell)


def _play_in(
    world: World,
    faults: Sequence[Fault],
    rate: float,
    chance: Random,
    tell: Callable[[Round], None],
) -> Iterator[Result]:
    rounds = []
    since: dict[str, str] = {}
    # The sender has its own: its threads would take from the faults' in another order each time.
    of_sender = Random(chance.random())
    with closing(Sender(world.service.port, PATH, rate, of_sender, WINDOW_S)) as sender:
        for fault in faults:
            rounds.append(_play_one(world, fault, sender, chance, since))
            tell(rounds[-1])
    # Read anew from the beginning: what was there at the end of a round must still be.
    found = _found(world)
    for played in rounds:
        noticed = played.began + NOTICED_S
        yield Result(
            played.fault,
            settle(played.ledger, found),
            played.kept_s,
            p99_s(played.ledger.attempts, noticed, played.ended),
            played.set_aside,
            played.reported,
        )


def _play_one(
    world: World, fault: Fault, sender: Sender, chance: Random, since: dict[str, str]
) -> Round:
    ledger = world.ledger = Ledger()
    before = world.set_aside()
    with sender.sending(ledger):
        time.sleep(CALM_S)
        began = time.monotonic()
        reported = _strike(world, fault, chance)
        ended = time.monotonic()
        time.sleep(CALM_S)
    # The last late duplicates came seconds after the fault.
    sent = time.monotonic()
    kept = _wait_until_kept(world, ledger, since, max(ended, sent) + KEPT_WITHIN_S)
    took_s = time.monotonic() - ended if kept else None
    return Round(fault, ledger, began, ended, took_s, world.set_aside() - before, reported)


def _strike(world: World, fault: Fault, chance: Random) -> bool | None:
    """Does it; whether its alarm was seen, None if nobody could have seen it."""
    alarm = fault.alarm
    if not isinstance(alarm, Alarm):
        fault.strike(world, chance)
        return None
    began = time.monotonic()
    with Watch(alarm, world.service).watching() as watch:
        fault.strike(world, chance)
        took_s = time.monotonic() - began
    return True if watch.seen else None if took_s < alarm.after_s else False


def _wait_until_kept(world: World, ledger: Ledger, since: dict[str, str], deadline: float) -> bool:
    missing = ledger.acknowledged
    while True:
        missing -= {_content(fields).get("mark", "") for fields in world.entries(since)}
        # An empty spool as well: what is still to be moved could be there twice afterwards.
        if not missing and not world.spooled():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)


def _found(world: World) -> dict[str, list[Content]]:
    found = defaultdict(list)
    for fields in world.entries({}):
        content = _content(fields)
        # Faults add entries of their own.
        if "mark" in content:
            found[content["mark"]].append(content)
    return found


def _content(fields: dict[str, str]) -> Content:
    return without_counters(json.loads(fields["data"]))
