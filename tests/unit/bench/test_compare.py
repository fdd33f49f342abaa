"""The order in which the comparison runs its contenders."""

from bench.compare import Plan
from bench.rig.contender import ours


def test_contenders_take_turns() -> None:
    one, other = ours(), ours("/elsewhere")
    plan = Plan((one, other), 2, 1, (64,), ("always",), 0, 1, log_level="info")
    assert [contender for _, _, contender in plan.turns(2)] == [one, other, one, other]
