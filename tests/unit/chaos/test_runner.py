"""How `bin/chaos` schedules its rounds."""

from contextlib import nullcontext
from random import Random
from typing import Any

from bench.chaos.alarm import Exempt
from bench.chaos.fault import Fault, fault
from bench.chaos.faults import FAULTS
from bench.chaos.runner import schedule

QUIET = Exempt("nothing could report it")


def environment(*_: Any) -> Any:
    return nullcontext()


def other_environment(*_: Any) -> Any:
    return nullcontext()


def harmless(name: str, at: Any) -> Fault:
    @fault(name, at, QUIET, may_break=True)
    def inject(environment: Any, rng: Random) -> None:
        """Nothing happens."""

    return inject


def test_fault_has_the_docstring_of_its_function_as_its_sentence() -> None:
    declared = harmless("a", environment)
    assert (declared.name, declared.sentence) == ("a", "Nothing happens.")
    assert (declared.may_break, declared.may_refuse) == (True, False)


def test_every_fault_of_the_catalogue_has_a_sentence() -> None:
    assert len(FAULTS) >= 40
    for each in FAULTS.values():
        assert each.sentence.endswith("."), each.name
        assert "\n" not in each.sentence, each.name


def test_rounds_are_spread_evenly_and_those_of_an_environment_follow_each_other() -> None:
    faults = [
        harmless("a", environment),
        harmless("b", other_environment),
        harmless("c", environment),
    ]
    scheduled = schedule(faults, 8, Random(1))
    counts = {each.name: scheduled.count(each) for each in faults}
    assert sorted(counts.values()) == [2, 3, 3]
    names = [each.name for each in scheduled]
    assert names[-counts["b"] :] == ["b"] * counts["b"]


def test_same_seed_schedules_the_same_rounds() -> None:
    every = list(FAULTS.values())
    assert schedule(every, 50, Random(7)) == schedule(every, 50, Random(7))
    assert schedule(every, 50, Random(7)) != schedule(every, 50, Random(8))
