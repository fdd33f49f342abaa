"""Runs rounds under load: calm, a fault, calm again, then compares the ledger with the streams."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random

from bench.chaos.alarm import Alarm, AlarmWatcher
from bench.chaos.environments.environment import PATH, WINDOW_S, Environment
from bench.chaos.fault import Fault
from bench.chaos.ledger import Content, Ledger, Totals, p99_s, reconcile
from bench.chaos.sender import Sender
from bench.chaos.variants import without_counters

CALM_S = 0.7
# How long after the fault every acknowledged message must be in Redis.
STORED_WITHIN_S = 30.0
POLL_S = 0.1
# The first request that a worker serves in an outage may use up its time budget; then the worker
# has noticed.
NOTICED_S = 2.0


@dataclass(frozen=True)
class Round:
    """One fault under load, when it is over.

    Attributes:
        fault: the fault.
        ledger: what was sent.
        began: when the fault began, in monotonic seconds.
        ended: when it ended.
        kept_s: from the fault's end until every acknowledged message was in Redis; None: too late.
        set_aside: messages that were set aside then.
        reported: whether the alarm matched while the fault lasted; None: exempt, or too short.
    """

    fault: Fault
    ledger: Ledger
    began: float
    ended: float
    kept_s: float | None
    set_aside: int
    reported: bool | None


@dataclass(frozen=True)
class RoundResult:
    """A round, and what became of its messages once all rounds of its environment were over."""

    fault: Fault
    totals: Totals
    kept_s: float | None
    p99_s: float | None
    set_aside: int = 0
    reported: bool | None = None


def schedule(faults: Sequence[Fault], rounds: int, rng: Random) -> list[Fault]:
    """Chooses a fault for each round: all equally often, as far as possible, in random order.

    Faults of one environment follow each other, because it takes seconds to make one.
    """
    shuffled = rng.sample(faults, len(faults))
    scheduled = [shuffled[number % len(shuffled)] for number in range(rounds)]
    rng.shuffle(scheduled)
    environments = list(dict.fromkeys(fault.environment for fault in faults))
    return sorted(scheduled, key=lambda fault: environments.index(fault.environment))


def run(
    scheduled: Sequence[Fault],
    folder: Path,
    rate: float,
    rng: Random,
    *,
    settings: Mapping[str, str],
    on_round: Callable[[Round], None],
) -> Iterator[RoundResult]:
    """Runs rounds; their results follow when all rounds of an environment are over.

    Args:
        scheduled: the fault of each round.
        folder: for the files of all processes.
        rate: messages a second.
        rng: the source of all random choices.
        settings: see `Factory`.
        on_round: is called after each round.
    """
    groups = groupby(scheduled, lambda fault: fault.environment)
    for number, (factory, faults) in enumerate(groups):
        own_folder = folder / str(number)
        own_folder.mkdir()
        with factory(own_folder, settings) as environment:
            yield from _run_in(environment, list(faults), rate, rng, on_round)


def _run_in(
    environment: Environment,
    faults: Sequence[Fault],
    rate: float,
    rng: Random,
    on_round: Callable[[Round], None],
) -> Iterator[RoundResult]:
    rounds = []
    since: dict[str, str] = {}
    # The sender has a source of its own: its threads would draw in another order each time, and so
    # change the faults' choices.
    sender_rng = Random(rng.random())
    port = environment.service.port
    with closing(Sender(port, PATH, rate, sender_rng, WINDOW_S)) as sender:
        for fault in faults:
            rounds.append(_run_round(environment, fault, sender, rng, since))
            on_round(rounds[-1])
    # Read again from the beginning: what was there at the end of a round must still be there.
    stored = _stored(environment)
    for done in rounds:
        yield RoundResult(
            done.fault,
            reconcile(done.ledger, stored),
            done.kept_s,
            p99_s(done.ledger.attempts, done.began + NOTICED_S, done.ended),
            done.set_aside,
            done.reported,
        )


def _run_round(
    environment: Environment, fault: Fault, sender: Sender, rng: Random, since: dict[str, str]
) -> Round:
    ledger = environment.ledger = Ledger()
    set_aside = environment.set_aside()
    with sender.sending(ledger):
        time.sleep(CALM_S)
        began = time.monotonic()
        reported = _inject(environment, fault, rng)
        ended = time.monotonic()
        time.sleep(CALM_S)
    # Late duplicates are sent until seconds after the fault.
    deadline = time.monotonic() + STORED_WITHIN_S
    in_time = _wait_until_stored(environment, ledger, since, deadline)
    kept_s = time.monotonic() - ended if in_time else None
    set_aside = environment.set_aside() - set_aside
    return Round(fault, ledger, began, ended, kept_s, set_aside, reported)


def _inject(environment: Environment, fault: Fault, rng: Random) -> bool | None:
    """Injects the fault; whether its alarm matched, None if nothing had to report it."""
    alarm = fault.alarm
    if not isinstance(alarm, Alarm):
        fault.inject(environment, rng)
        return None
    began = time.monotonic()
    with AlarmWatcher(alarm, environment.service).watching() as watcher:
        fault.inject(environment, rng)
        took_s = time.monotonic() - began
    return True if watcher.matched else None if took_s < alarm.after_s else False


def _wait_until_stored(
    environment: Environment, ledger: Ledger, since: dict[str, str], deadline: float
) -> bool:
    missing = ledger.acknowledged
    while True:
        missing -= {_content(fields).get("mark", "") for fields in environment.entries(since)}
        # The spool must be empty too: a message that it still holds could be stored twice later.
        if not missing and not environment.spooled():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)


def _stored(environment: Environment) -> dict[str, list[Content]]:
    """Every message in the streams, by its mark; faults add entries that have none."""
    stored = defaultdict(list)
    for fields in environment.entries({}):
        content = _content(fields)
        if "mark" in content:
            stored[content["mark"]].append(content)
    return stored


def _content(fields: dict[str, str]) -> Content:
    return without_counters(json.loads(fields["data"]))
