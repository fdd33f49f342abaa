import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.errors import StopError, UnavailableError
from registrar.strikes import (
    MAX_DOUBTFUL,
    PACE_S,
    PENDING_S,
    PROVEN_PACE_S,
    Outcome,
    Strikes,
    cleared,
    reserved,
    resolved,
)

NOW = 1_000_000.0
LOCKING = 5
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
    for _ in range(20 * int(PACE_S)):
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


def test_proven_credentials_go_on_without_end_through_an_outage() -> None:
    now, strikes, made = NOW, tried(Strikes(), "accepted"), 0
    for _ in range(100):
        now += PROVEN_PACE_S
        strikes = tried(strikes, "unknown", now)
        made += 1
    assert made == 100
    assert not strikes.open


def test_a_refusal_ends_the_trust_in_proven_credentials() -> None:
    strikes = tried(tried(Strikes(), "accepted"), "refused")
    assert not strikes.proven


def test_clearing_prevails() -> None:
    strikes = tried(tried(Strikes(), "refused"), "refused")
    fresh = cleared(strikes, strikes.generation + 1)
    assert not fresh.open
    assert fresh.generation > strikes.generation


def test_a_record_survives_its_store() -> None:
    strikes = reserved(tried(Strikes(), "refused"), "a", NOW)
    assert Strikes.from_json(strikes.to_json()) == strikes


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"other": 1}', "7"])
def test_a_record_that_cannot_be_read_is_a_clean_one(text: str | None) -> None:
    assert Strikes.from_json(text) == Strikes()


def test_a_record_holds_numbers_and_names_only() -> None:
    assert set(json.loads(Strikes().to_json())) == {
        "generation",
        "refused",
        "unknown",
        "proven",
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
    )
)
def test_wrong_credentials_never_reach_the_lock(events: list[tuple[Lossy, float]]) -> None:
    """Every attempt is one that the provider refuses, whether or not we hear of it."""
    now, strikes, at_the_provider = NOW, Strikes(), 0
    for number, (outcome, pause) in enumerate(events):
        now += pause
        try:
            strikes = reserved(strikes, f"a{number}", now)
        except (StopError, UnavailableError):
            continue
        at_the_provider += 1
        if outcome != "lost":
            strikes = resolved(strikes, f"a{number}", outcome)
    assert at_the_provider < LOCKING
