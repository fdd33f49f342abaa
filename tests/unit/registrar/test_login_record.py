"""The login breaker's rules: which logins it allows after which outcomes."""

import json
import re
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.errors import StopError, UnavailableError
from registrar.login_breaker.record import (
    LOCKED_AT,
    MAX_POSSIBLY_FAILED,
    PENDING_S,
    UNANSWERED_BACKOFF_S,
    UNREADABLE,
    LoginOutcome,
    LoginRecord,
)

NOW = 1_000_000.0
Lossy = Literal["refused", "unanswered", "lost"]


def tried(record: LoginRecord, outcome: LoginOutcome, now: float = NOW) -> LoginRecord:
    return record.reserve("a", now).resolve("a", outcome)


def test_two_refusals_open_it_for_good() -> None:
    record = tried(tried(LoginRecord(), "refused"), "refused")
    assert record.open
    with pytest.raises(StopError) as caught:
        record.reserve("b", NOW + 365 * 86400)
    assert caught.value.reason == "breaker-open"


def test_a_locked_account_opens_it_at_once() -> None:
    assert tried(LoginRecord(), "locked").open


def test_a_success_between_refusals_clears() -> None:
    record = tried(tried(LoginRecord(), "refused"), "accepted")
    assert not tried(record, "refused").open


def test_attempts_under_way_count_as_if_refused() -> None:
    record = LoginRecord().reserve("a", NOW).reserve("b", NOW)
    with pytest.raises(UnavailableError) as caught:
        record.reserve("c", NOW)
    assert (caught.value.reason, caught.value.retry_after_s) == ("login-busy", 1.0)


def test_after_one_refusal_one_at_a_time() -> None:
    record = tried(LoginRecord(), "refused").reserve("a", NOW)
    with pytest.raises(UnavailableError):
        record.reserve("b", NOW)


def test_what_was_not_evaluated_does_not_count() -> None:
    record = LoginRecord()
    for _ in range(50):
        record = tried(record, "not-evaluated")
    assert record.possibly_failed == 0


def test_entering_an_attempt_twice_is_entering_it_once() -> None:
    record = LoginRecord().reserve("a", NOW)
    assert record.reserve("a", NOW) == record


def test_an_attempt_without_an_end_becomes_an_unanswered_one() -> None:
    record = LoginRecord().reserve("killed", NOW)
    later = record.reserve("b", NOW + PENDING_S + 1)
    assert (later.unanswered, list(later.pending)) == (1, ["b"])


def test_unanswered_attempts_are_paced_and_limited() -> None:
    now, record, made = NOW, LoginRecord(), 0
    for _ in range(int(2 * sum(UNANSWERED_BACKOFF_S))):
        now += 1.0
        try:
            record = tried(record, "unanswered", now)
        except UnavailableError:
            continue
        except StopError:
            break
        else:
            made += 1
    assert made == MAX_POSSIBLY_FAILED
    assert record.open


def test_the_first_two_unanswered_ones_may_follow_at_once() -> None:
    record = tried(tried(LoginRecord(), "unanswered"), "unanswered")
    with pytest.raises(UnavailableError) as caught:
        record.reserve("c", NOW + 1)
    assert caught.value.reason == "login-paced"


def test_the_third_unanswered_one_waits_ten_minutes_and_the_fourth_an_hour() -> None:
    record = tried(tried(LoginRecord(), "unanswered"), "unanswered")
    for wait in (600.0, 3600.0):
        with pytest.raises(UnavailableError) as caught:
            record.reserve("c", NOW)
        assert caught.value.retry_after_s == wait
        record = replace(tried(record, "unanswered", NOW + wait), last_attempt_s=NOW)
    assert record.open


def test_unlocking_grants_one_attempt_and_forgets_nothing() -> None:
    record = tried(tried(LoginRecord(), "refused"), "refused")
    for count in (2, 3):
        record = record.unlock(record.generation + 1)
        assert (record.failed, record.open) == (count, False)
        under_way = record.reserve("a", NOW)
        with pytest.raises(UnavailableError):
            under_way.reserve("b", NOW)
        record = under_way.resolve("a", "refused")
        assert record.open
    assert not tried(record.unlock(9), "accepted").failed


@pytest.mark.parametrize("outcome", ["refused", "unanswered"])
def test_the_attempt_that_was_granted_is_not_used_up_by_what_was_not_evaluated(
    outcome: LoginOutcome,
) -> None:
    record = tried(tried(LoginRecord(), "refused"), "refused")
    record = tried(record.unlock(1), "not-evaluated")
    assert not record.open
    assert tried(record, outcome).open


def test_unlocking_what_is_clean_changes_no_rule() -> None:
    record = LoginRecord().unlock(1)
    assert not tried(record, "refused").open
    assert tried(tried(record, "refused"), "refused").open


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    year = 365 * 86400
    record = LoginRecord().reserve("a", NOW + year).reserve("b", NOW + year)
    with pytest.raises(UnavailableError) as caught:
        record.reserve("c", NOW)
    assert (caught.value.reason, caught.value.retry_after_s) == (
        "login-paced",
        UNANSWERED_BACKOFF_S[0],
    )


def test_a_record_survives_its_store() -> None:
    record = tried(LoginRecord(), "refused").reserve("a", NOW)
    assert LoginRecord.from_json(record.to_json()) == record


def test_no_record_is_a_clean_one_and_fields_of_other_versions_are_ignored() -> None:
    assert LoginRecord.from_json(None) == LoginRecord()
    assert LoginRecord.from_json('{"refused": 2, "of_a_later_version": {}}') == LoginRecord(
        refused=2
    )


@pytest.mark.parametrize("counts", [(0, 0, 0), (1, 0, 1), (0, 2, 2), (1, 2, 3), (2, 2, 3)])
def test_record_that_was_unlocked_at_its_failures_or_before_is_read(
    counts: tuple[int, int, int],
) -> None:
    refused, unanswered, unlocked = counts
    record = LoginRecord(refused=refused, unanswered=unanswered, unlocked_at_failures=unlocked)
    assert LoginRecord.from_json(record.to_json()) == record


def test_stored_names_are_those_of_earlier_versions() -> None:
    text = (
        '{"generation": 1, "last_s": 5.5, "pardoned": 3, "pending": {"a": 6.5}, '
        '"refused": 2, "unknown": 4}'
    )
    record = LoginRecord(1, 2, 4, unlocked_at_failures=3, last_attempt_s=5.5, pending={"a": 6.5})
    assert LoginRecord.from_json(text) == record
    assert record.to_json() == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", "[" * 100_000, '{"refused": "x"}', '{"last_s": null}'),
        *('{"refused": true}', '{"unknown": 2.5}', '{"unknown": 2.0}', '{"last_s": Infinity}'),
        *('{"refused": 1%s}' % ("0" * 400), '{"pending": {"a": true}}', '{"pending": null}'),
        # An operator unlocked it at more failures than it has: it would allow five attempts more.
        *('{"pardoned": 5}', '{"pardoned": 3, "refused": 1, "unknown": 1}'),
        *('{"pending": {"a": -1}}', '{"last_s": -1}', '{"generation": -1}'),
        *('{"pending": [1]}', '{"pending": {"a": "b"}}', '{"unknown": -1}', '{"last_s": NaN}'),
    ],
)
def test_a_record_that_cannot_be_read_leaves_one_attempt(text: str) -> None:
    record = LoginRecord.from_json(text)
    assert record == UNREADABLE
    assert tried(record, "refused").open


def test_clean_record_is_all_zeros() -> None:
    assert json.loads(LoginRecord().to_json()) == {
        "generation": 0,
        "refused": 0,
        "unknown": 0,
        "pardoned": 0,
        "last_s": 0.0,
        "pending": {},
    }


def test_equal_records_have_the_same_text() -> None:
    one = LoginRecord(pending={"a": 1.0, "b": 2.0})
    other = LoginRecord(pending={"b": 2.0, "a": 1.0})
    assert one.to_json() == other.to_json()


def test_accepted_login_keeps_other_attempts_and_raises_the_generation_by_one() -> None:
    record = LoginRecord(4, refused=1, unanswered=1, pending={"a": 7.0, "b": 8.0})
    record = replace(record, last_attempt_s=5.0).resolve("a", "accepted")
    assert record == LoginRecord(5, last_attempt_s=5.0, pending={"b": 8.0})


def test_unlocking_counts_pending_attempts_as_unanswered() -> None:
    record = LoginRecord(4, refused=1, unanswered=1, last_attempt_s=5.0, pending={"a": 7.0})
    assert record.unlock(9) == LoginRecord(
        9, refused=1, unanswered=2, unlocked_at_failures=3, last_attempt_s=5.0
    )


def test_attempt_is_pending_for_exactly_its_time() -> None:
    record = LoginRecord().reserve("a", NOW)
    assert "a" in record.reserve("b", NOW + PENDING_S - 0.5).pending
    assert record.reserve("b", NOW + PENDING_S).unanswered == 1


def test_attempt_may_begin_exactly_when_its_wait_is_over() -> None:
    record = tried(tried(LoginRecord(), "unanswered"), "unanswered")
    with pytest.raises(UnavailableError) as caught:
        record.reserve("c", NOW + 599.5)
    assert (caught.value.reason, caught.value.retry_after_s) == ("login-paced", 0.5)
    assert not caught.value.sent
    assert "c" in record.reserve("c", NOW + 600).pending


def test_login_beside_others_is_refused_as_one_that_was_not_sent() -> None:
    record = LoginRecord().reserve("a", NOW).reserve("b", NOW)
    with pytest.raises(UnavailableError, match="login-busy: other logins are under way") as caught:
        record.reserve("c", NOW)
    assert not caught.value.sent


def test_advice_counts_the_logins_and_names_the_command() -> None:
    advice = LoginRecord(refused=2, unanswered=1).advice
    assert re.findall(r"\d+", advice) == ["2", "1", "5"]
    assert " 5 lock the account: correct THINGSPACE_PASSWORD " in advice
    assert advice.endswith("only if it is right: python -m registrar unlock")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["refused", "unanswered", "lost"]),
            st.floats(min_value=0, max_value=5000),
        ),
        max_size=60,
    ),
    st.sampled_from([LoginRecord(), tried(LoginRecord(), "accepted")]),
)
def test_wrong_credentials_never_reach_the_lock(
    events: list[tuple[Lossy, float]], record: LoginRecord
) -> None:
    """Every attempt is one that the provider refuses, whether or not we hear of it.

    That the credentials were right the last time changes nothing: then somebody has changed them.
    """
    now, at_the_provider = NOW, 0
    for number, (outcome, pause) in enumerate(events):
        now += pause
        try:
            record = record.reserve(f"a{number}", now)
        except (StopError, UnavailableError):
            continue
        at_the_provider += 1
        if outcome != "lost":
            record = record.resolve(f"a{number}", outcome)
    assert at_the_provider < LOCKED_AT
