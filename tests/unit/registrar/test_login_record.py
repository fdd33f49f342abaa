import json
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.errors import StopError, UnavailableError
from registrar.login_breaker.record import (
    LOCKED_AT,
    MAX_DOUBTFUL,
    PACES_S,
    PENDING_S,
    UNREADABLE,
    Outcome,
    Strikes,
    reserved,
    resolved,
    unlocked,
)

NOW = 1_000_000.0
Lossy = Literal["refused", "unknown", "lost"]


def tried(strikes: Strikes, outcome: Outcome, now: float = NOW) -> Strikes:
    return resolved(reserved(strikes, "a", now), "a", outcome)


def test_two_refusals_open_it_for_good() -> None:
    strikes = tried(tried(Strikes(), "refused"), "refused")
    assert strikes.open
    with pytest.raises(StopError) as caught:
        reserved(strikes, "b", NOW + 365 * 86400)
    assert caught.value.reason == "breaker-open"


def test_a_locked_account_opens_it_at_once() -> None:
    assert tried(Strikes(), "locked").open


def test_a_success_between_refusals_clears() -> None:
    strikes = tried(tried(Strikes(), "refused"), "accepted")
    assert not tried(strikes, "refused").open


def test_attempts_under_way_count_as_if_refused() -> None:
    strikes = reserved(reserved(Strikes(), "a", NOW), "b", NOW)
    with pytest.raises(UnavailableError) as caught:
        reserved(strikes, "c", NOW)
    assert (caught.value.reason, caught.value.retry_after_s) == ("login-busy", 1.0)


def test_after_one_refusal_one_at_a_time() -> None:
    strikes = reserved(tried(Strikes(), "refused"), "a", NOW)
    with pytest.raises(UnavailableError):
        reserved(strikes, "b", NOW)


def test_what_was_not_evaluated_does_not_count() -> None:
    strikes = Strikes()
    for _ in range(50):
        strikes = tried(strikes, "not-evaluated")
    assert strikes.doubtful == 0


def test_entering_an_attempt_twice_is_entering_it_once() -> None:
    strikes = reserved(Strikes(), "a", NOW)
    assert reserved(strikes, "a", NOW) == strikes


def test_an_attempt_without_an_end_becomes_an_unanswered_one() -> None:
    strikes = reserved(Strikes(), "killed", NOW)
    later = reserved(strikes, "b", NOW + PENDING_S + 1)
    assert (later.unknown, list(later.pending)) == (1, ["b"])


def test_unanswered_attempts_are_paced_and_limited() -> None:
    now, strikes, made = NOW, Strikes(), 0
    for _ in range(int(2 * sum(PACES_S))):
        now += 1.0
        try:
            strikes = tried(strikes, "unknown", now)
        except UnavailableError:
            continue
        except StopError:
            break
        else:
            made += 1
    assert made == MAX_DOUBTFUL
    assert strikes.open


def test_the_first_two_unanswered_ones_may_follow_at_once() -> None:
    strikes = tried(tried(Strikes(), "unknown"), "unknown")
    with pytest.raises(UnavailableError) as caught:
        reserved(strikes, "c", NOW + 1)
    assert caught.value.reason == "login-paced"


def test_the_third_unanswered_one_waits_ten_minutes_and_the_fourth_an_hour() -> None:
    strikes = tried(tried(Strikes(), "unknown"), "unknown")
    for wait in (600.0, 3600.0):
        with pytest.raises(UnavailableError) as caught:
            reserved(strikes, "c", NOW)
        assert caught.value.retry_after_s == wait
        strikes = replace(tried(strikes, "unknown", NOW + wait), last_s=NOW)
    assert strikes.open


def test_unlocking_grants_one_attempt_and_forgets_nothing() -> None:
    strikes = tried(tried(Strikes(), "refused"), "refused")
    for count in (2, 3):
        strikes = unlocked(strikes, strikes.generation + 1)
        assert (strikes.failed, strikes.open) == (count, False)
        under_way = reserved(strikes, "a", NOW)
        with pytest.raises(UnavailableError):
            reserved(under_way, "b", NOW)
        strikes = resolved(under_way, "a", "refused")
        assert strikes.open
    assert not tried(unlocked(strikes, 9), "accepted").failed


@pytest.mark.parametrize("outcome", ["refused", "unknown"])
def test_the_attempt_that_was_granted_is_not_used_up_by_what_was_not_evaluated(
    outcome: Outcome,
) -> None:
    strikes = tried(tried(Strikes(), "refused"), "refused")
    strikes = tried(unlocked(strikes, 1), "not-evaluated")
    assert not strikes.open
    assert tried(strikes, outcome).open


def test_unlocking_what_is_clean_changes_no_rule() -> None:
    strikes = unlocked(Strikes(), 1)
    assert not tried(strikes, "refused").open
    assert tried(tried(strikes, "refused"), "refused").open


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    year = 365 * 86400
    strikes = reserved(reserved(Strikes(), "a", NOW + year), "b", NOW + year)
    with pytest.raises(UnavailableError) as caught:
        reserved(strikes, "c", NOW)
    assert (caught.value.reason, caught.value.retry_after_s) == ("login-paced", PACES_S[0])


def test_a_record_survives_its_store() -> None:
    strikes = reserved(tried(Strikes(), "refused"), "a", NOW)
    assert Strikes.from_json(strikes.to_json()) == strikes


def test_no_record_is_a_clean_one_and_fields_of_other_versions_are_ignored() -> None:
    assert Strikes.from_json(None) == Strikes()
    assert Strikes.from_json('{"refused": 2, "of_a_later_version": {}}') == Strikes(refused=2)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "7", "[" * 100_000, '{"refused": "x"}', '{"last_s": null}'),
        *('{"pending": [1]}', '{"pending": {"a": "b"}}', '{"unknown": -1}', '{"last_s": NaN}'),
    ],
)
def test_a_record_that_cannot_be_read_leaves_one_attempt(text: str) -> None:
    strikes = Strikes.from_json(text)
    assert strikes == UNREADABLE
    assert tried(strikes, "refused").open


def test_a_record_holds_numbers_and_names_only() -> None:
    assert set(json.loads(Strikes().to_json())) == {
        "generation",
        "refused",
        "unknown",
        "pardoned",
        "last_s",
        "pending",
    }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["refused", "unknown", "lost"]),
            st.floats(min_value=0, max_value=5000),
        ),
        max_size=60,
    ),
    st.sampled_from([Strikes(), tried(Strikes(), "accepted")]),
)
def test_wrong_credentials_never_reach_the_lock(
    events: list[tuple[Lossy, float]], strikes: Strikes
) -> None:
    """Every attempt is one that the provider refuses, whether or not we hear of it.

    That the credentials were right the last time changes nothing: then somebody has changed them.
    """
    now, at_the_provider = NOW, 0
    for number, (outcome, pause) in enumerate(events):
        now += pause
        try:
            strikes = reserved(strikes, f"a{number}", now)
        except (StopError, UnavailableError):
            continue
        at_the_provider += 1
        if outcome != "lost":
            strikes = resolved(strikes, f"a{number}", outcome)
    assert at_the_provider < LOCKED_AT
