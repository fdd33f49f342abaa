"""The accounting of `bin/chaos`: it must find every lost and every doubled message, and no other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.chaos.ledger import Attempt, Content, Ledger, Totals, p99_s, reconcile

OK, DUPLICATE = Attempt(0.0, 0.01, 200), Attempt(1.5, 0.02, 200)
REFUSED, BROKEN = Attempt(0.0, 0.5, 503), Attempt(0.0, 0.3, None)


def ledger_of(**attempts: list[Attempt]) -> Ledger:
    ledger = Ledger()
    for mark, made in attempts.items():
        ledger.send(mark, content(mark)).attempts.extend(made)
    return ledger


def content(mark: str) -> Content:
    return {"mark": mark, "accountName": "0242078689-00001"}


def test_acknowledged_message_that_is_stored_once_has_no_problem() -> None:
    totals = reconcile(ledger_of(a=[OK], b=[OK]), {"a": [content("a")], "b": [content("b")]})
    assert totals == Totals(sent=2, acknowledged=2, slowest_s=0.01)


def test_acknowledged_message_that_is_not_stored_is_lost() -> None:
    assert reconcile(ledger_of(a=[OK]), {}).lost == 1


def test_message_that_is_stored_with_other_content_is_lost() -> None:
    assert reconcile(ledger_of(a=[OK]), {"a": [{**content("a"), "password": "p"}]}).lost == 1


def test_message_that_is_stored_twice_is_doubled_even_if_it_was_never_acknowledged() -> None:
    twice = {mark: [content(mark)] * 2 for mark in "ab"}
    assert reconcile(ledger_of(a=[OK], b=[BROKEN, BROKEN]), twice).doubled == 2


def test_refused_attempt_counts_although_the_retry_was_acknowledged() -> None:
    totals = reconcile(ledger_of(a=[REFUSED, OK]), {"a": [content("a")]})
    assert (totals.refused, totals.acknowledged, totals.lost) == (1, 1, 0)


def test_message_without_acknowledgement_may_be_stored_or_not() -> None:
    ledger = ledger_of(a=[REFUSED, BROKEN], b=[BROKEN, REFUSED])
    totals = reconcile(ledger, {"a": [content("a")]})
    assert totals == Totals(sent=2, refused=2, unanswered=2, slowest_s=0.5)


def test_duplicate_of_the_sender_counts_as_one_message() -> None:
    totals = reconcile(ledger_of(a=[OK, DUPLICATE]), {"a": [content("a")]})
    assert (totals.sent, totals.acknowledged, totals.slowest_s) == (1, 1, 0.02)


def test_late_duplicate_counts_if_it_was_acknowledged_again() -> None:
    late = [replace(OK, is_late=True), replace(REFUSED, is_late=True)]
    totals = reconcile(ledger_of(a=[OK, *late], b=[OK]), {"a": [content("a")], "b": [content("b")]})
    assert (totals.sent, totals.late, totals.refused, totals.doubled) == (2, 1, 1, 0)


def test_mark_identifies_one_message_only() -> None:
    with pytest.raises(AssertionError):
        ledger_of(a=[OK]).send("a", {})


def test_totals_add_up_and_keep_the_slowest_attempt() -> None:
    first, second = Totals(1, 2, 3, 4, 5, 6, 7, 0.7), Totals(10, 20, 30, 40, 50, 60, 70, 0.2)
    assert first + second == Totals(11, 22, 33, 44, 55, 66, 77, 0.7)


def test_p99_covers_the_attempts_that_started_in_the_time_span() -> None:
    attempts = [Attempt(float(n), n / 100, 200) for n in range(1, 201)]
    assert p99_s(attempts, 1, 101) == 0.99
    assert p99_s(attempts, 1, 2) == 0.01
    assert p99_s(attempts, 500, 600) is None


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(st.booleans(), st.integers(0, 3)))
)
def test_lost_and_doubled_messages_are_counted_exactly(sent: dict[str, tuple[bool, int]]) -> None:
    ledger = Ledger()
    for mark, (acknowledged, _) in sent.items():
        ledger.send(mark, content(mark)).attempts.append(OK if acknowledged else REFUSED)
    totals = reconcile(ledger, {mark: [content(mark)] * n for mark, (_, n) in sent.items()})
    assert totals.lost == sum(acknowledged and n == 0 for acknowledged, n in sent.values())
    assert totals.doubled == sum(n > 1 for _, n in sent.values())
