"""The sandbox's tokens and sessions: issued, expired, refused, locked."""

import itertools

import pytest

from sandbox.accounts.credentials import Credentials
from sandbox.replies import ApiError
from sandbox.settings import DeadSession, Settings


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def build(clock: Clock, **chosen: object) -> Credentials:
    settings = Settings(key="k", secret="s", username="u", password="p", **chosen)  # type: ignore[arg-type]
    numbers = itertools.count(1)
    return Credentials(settings, clock=clock, new_secret=lambda: f"secret-{next(numbers)}")


def refused(call: object, *arguments: object) -> str:
    with pytest.raises(ApiError) as problem:
        call(*arguments)  # type: ignore[operator]
    return f"{problem.value.reply.status} {problem.value.reply.body}"


def test_within_its_life_the_same_token_comes_again_with_what_remains_of_it(clock: Clock) -> None:
    credentials = build(clock)
    assert credentials.issue_token("k", "s") == ("secret-1", 3600)
    clock.now += 3000.5
    assert credentials.issue_token("k", "s") == ("secret-1", 599)
    clock.now += 600
    assert credentials.issue_token("k", "s") == ("secret-2", 3600)


@pytest.mark.parametrize(("key", "secret"), [("k", "x"), ("x", "s"), ("", ""), ("kä", "s")])
def test_a_wrong_key_or_secret_is_an_invalid_client(clock: Clock, key: str, secret: str) -> None:
    assert "401" in (answer := refused(build(clock).issue_token, key, secret))
    assert "invalid_client" in answer


def test_a_token_is_accepted_until_it_expires(clock: Clock) -> None:
    credentials = build(clock)
    token, _ = credentials.issue_token("k", "s")
    credentials.check_token(token)
    clock.now += 3600
    assert "900901" in refused(credentials.check_token, token)


def test_a_missing_and_a_wrong_token_are_told_apart(clock: Clock) -> None:
    credentials = build(clock)
    assert "900901" in refused(credentials.check_token, "never-issued")
    credentials.issue_token("k", "s")
    assert "900901" in refused(credentials.check_token, "wrong")
    assert "900902" in refused(credentials.check_token, None)
    assert "900902" in refused(credentials.check_token, "")


def test_an_expired_token_is_followed_by_another(clock: Clock) -> None:
    credentials = build(clock)
    token, _ = credentials.issue_token("k", "s")
    credentials.expire_token()
    assert "900901" in refused(credentials.check_token, token)
    assert credentials.issue_token("k", "s")[0] != token


def test_a_session_lives_as_long_as_it_is_used_every_twenty_minutes(clock: Clock) -> None:
    credentials = build(clock)
    session = credentials.log_in("u", "p")
    for _ in range(3):
        clock.now += 1199
        credentials.check_session(session)
    clock.now += 1200
    assert "SessionToken.Expired" in refused(credentials.check_session, session)


def test_several_sessions_live_beside_each_other(clock: Clock) -> None:
    credentials = build(clock)
    sessions = [credentials.log_in("u", "p") for _ in range(3)]
    for session in sessions:
        credentials.check_session(session)
    assert credentials.summary()["live_sessions"] == 3


def test_a_session_that_was_logged_out_is_unknown(clock: Clock) -> None:
    credentials = build(clock)
    session = credentials.log_in("u", "p")
    credentials.log_out(session)
    assert "SessionToken.Invalid" in refused(credentials.check_session, session)
    assert "SessionToken.Invalid" in refused(credentials.check_session, None)


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("session-expired", "400 "),
        ("session-invalid", "400 "),
        ("session-unauthorized", "401 {"),
        ("session-unauthorized-empty", "401 "),
    ],
)
def test_how_a_dead_session_is_answered_can_be_chosen(
    clock: Clock, form: DeadSession, answer: str
) -> None:
    credentials = build(clock, dead_session=form)
    assert refused(credentials.check_session, "unknown").startswith(answer)
    session = credentials.log_in("u", "p")
    credentials.expire_session(session)
    assert refused(credentials.check_session, session).startswith(answer)


def test_expiring_an_unknown_session_does_nothing(clock: Clock) -> None:
    credentials = build(clock)
    credentials.expire_session("unknown")
    credentials.expire_session(None)
    assert credentials.summary()["live_sessions"] == 0


def test_the_fifth_failed_login_locks_the_account_also_for_the_right_password(clock: Clock) -> None:
    credentials = build(clock)
    for _ in range(5):
        assert "Password.Invalid" in refused(credentials.log_in, "u", "wrong")
    assert "Locked" in refused(credentials.log_in, "u", "p")
    assert credentials.summary() == {"locked": True, "failed_logins": 5, "live_sessions": 0}


def test_only_consecutive_failures_count(clock: Clock) -> None:
    credentials = build(clock)
    for _ in range(4):
        refused(credentials.log_in, "u", "wrong")
    credentials.log_in("u", "p")
    for _ in range(4):
        refused(credentials.log_in, "wrong", "p")
    credentials.log_in("u", "p")


def test_support_can_unlock_the_account(clock: Clock) -> None:
    credentials = build(clock, lock_after=1)
    refused(credentials.log_in, "u", "wrong")
    assert "Locked" in refused(credentials.log_in, "u", "p")
    credentials.unlock()
    credentials.log_in("u", "p")


def test_a_lock_leaves_the_sessions_before_it_alone(clock: Clock) -> None:
    credentials = build(clock, lock_after=1)
    session = credentials.log_in("u", "p")
    refused(credentials.log_in, "u", "wrong")
    credentials.check_session(session)


def test_the_status_of_a_refused_login_can_be_chosen(clock: Clock) -> None:
    assert refused(build(clock, refused_login=401).log_in, "u", "x").startswith("401 ")
