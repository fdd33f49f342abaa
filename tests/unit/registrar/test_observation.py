"""What is logged of an observation, and what it keeps of the one before."""

from dataclasses import replace

from structlog.testing import capture_logs

from listener.registration_state import Observation
from registrar.model import Slot
from registrar.reconcile.observation_log import log_observation
from registrar.reconcile.observer import unknown, with_history

SEEN = replace(unknown(Slot("0242078689-00001", "v1"), "unreachable"), detail="refused", fence=3)
OURS = replace(SEEN, ours=True, registered_url="https://a/cb", since="2026-01-01T00:00:00Z")


def test_observation_that_is_as_before_keeps_since_when() -> None:
    now = replace(OURS, since="2026-01-02T00:00:00Z")
    assert with_history(now, OURS, recent_takeovers=0).since == OURS.since
    other = replace(now, registered_url="https://b/cb")
    assert with_history(other, OURS, recent_takeovers=0).since == now.since


def test_observation_after_one_of_a_version_that_stored_no_since_has_its_own() -> None:
    now = replace(OURS, since="2026-01-02T00:00:00Z")
    assert with_history(now, replace(OURS, since=""), recent_takeovers=0).since == now.since


def test_failed_observation_keeps_the_url_that_was_known() -> None:
    assert with_history(SEEN, OURS, recent_takeovers=0).registered_url == OURS.registered_url


def test_contender_is_kept_while_takeovers_are_recent() -> None:
    before = replace(OURS, contender="https://b/cb")
    assert with_history(OURS, before, recent_takeovers=1).contender == "https://b/cb"
    assert with_history(OURS, before, recent_takeovers=0).contender is None


def lines(*seen: Observation) -> int:
    with capture_logs() as logged:
        for before, after in zip((None, *seen), seen, strict=False):
            log_observation(after, before)
    return len(logged)


def test_cause_on_this_machine_is_logged_each_time_it_changes_and_only_then() -> None:
    first = replace(SEEN, reason="certificate-refused", detail="self-signed certificate")
    other = replace(first, detail="certificate has expired")
    assert lines(first, first, other, other, first) == 3


def test_words_of_the_provider_that_differ_every_time_are_no_news() -> None:
    said = [replace(SEEN, reason="provider-failed", detail=f"HTTP 500 {n}") for n in range(5)]
    assert lines(*said) == 1
