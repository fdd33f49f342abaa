"""The authenticator and the client with a provider made of canned answers: no network, no clock but ours."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from listener.settings.secret import Secret
from registrar.errors import (
    AuthExpiredError,
    NotExclusiveError,
    RejectedError,
    StopError,
    StoppingError,
    UnavailableError,
)
from registrar.http.reply import Reply
from registrar.login_breaker.breaker import LoginBreaker, Reservation
from registrar.login_breaker.stores import FileStore
from registrar.model import Credentials, Registration, Slot
from registrar.thingspace.auth import BEARER_PAUSE_S, Authenticator
from registrar.thingspace.client import MAX_ATTEMPTS, CallbackClient
from registrar.thingspace.requests import Call
from registrar.thingspace.transport import Transport
from registrar.turn import Turn

SLOT = Slot("0242078689-00001", "v1")
OAUTH, LOGIN, LOGOUT = "/ts/v1/oauth2/token", "/m2m/v1/session/login", "/m2m/v1/session/logout"
FOTA = f"/fota/v1/callbacks/{SLOT.account}"
CREDENTIALS = Credentials(Secret("k"), Secret("s"), Secret("u"), Secret("p"))
BEARER_REFUSED = Reply(401, b'{"fault": {"code": 900901}}')
BEARER_REFUSED_AS_XML = Reply(
    401,
    b'<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>900902</am:code></am:fault>',
)
SESSION_REFUSED = Reply(
    400, b'{"errorCode": "UnifiedWebService.REQUEST_FAILED.SessionToken.Expired"}'
)
WRONG_PASSWORD = Reply(400, b'{"errorCode": "UnifiedWebService.INPUT_INVALID.Password.Invalid"}')


class Provider(Transport):
    """Answers what is planned for a path, and otherwise as if all were well."""

    def __init__(self) -> None:
        self.planned: dict[str, list[Reply | Exception]] = {}
        self.sent: list[tuple[str, Mapping[str, str]]] = []
        self.life_s = 3600
        self.during: Callable[[], None] = lambda: None

    def plan(self, path: str, *answers: Reply | Exception) -> None:
        self.planned[path] = list(answers)

    def send(self, call: Call, headers: Mapping[str, str]) -> Reply:
        self.sent.append((call.path, headers))
        self.during()
        if answers := self.planned.get(call.path):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        number = self.count(call.path)
        body: dict[str, Any] = {"sessionToken": f"session-{number}"}
        if call.path == OAUTH:
            body = {"access_token": f"token-{number}", "expires_in": self.life_s}
        return Reply(200, b"" if call.path == FOTA else json.dumps(body).encode())

    def count(self, path: str) -> int:
        return Counter(path for path, _ in self.sent)[path]


class Breaker(LoginBreaker):
    """Allows everything, and notes what became of it."""

    def __init__(self) -> None:
        super().__init__(())
        self.outcomes: list[str] = []

    def reserve(self) -> Reservation:
        self.outcomes.append("reserved")
        return Reservation("login", lambda _, outcome: self.outcomes.append(outcome))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class ClientWithFakes:
    def __init__(self) -> None:
        self.provider = Provider()
        self.breaker = Breaker()
        self.clock = Clock()
        self.slept: list[float] = []
        self.authenticator = Authenticator(self.provider, CREDENTIALS, self.breaker, self.clock)
        self.client = CallbackClient(self.provider, self.authenticator)
        self.turn = Turn(self.wait)
        self.stopping = False

    def wait(self, seconds: float) -> bool:
        self.slept.append(seconds)
        return self.stopping


@pytest.fixture
def fakes() -> ClientWithFakes:
    return ClientWithFakes()


def unavailable(*, sent: bool) -> UnavailableError:
    return UnavailableError("timeout", sent=sent)


def test_calls_share_one_token_and_one_session(fakes: ClientWithFakes) -> None:
    for _ in range(3):
        fakes.client.query(SLOT, fakes.turn)
    assert (fakes.provider.count(OAUTH), fakes.provider.count(LOGIN)) == (1, 1)
    headers = fakes.provider.sent[-1][1]
    assert headers["Authorization"] == "Bearer token-1"
    assert headers["VZ-M2M-Token"] == "session-1"
    assert fakes.breaker.outcomes == ["reserved", "accepted"]


def test_the_token_is_renewed_before_it_expires_and_the_session_goes_on(
    fakes: ClientWithFakes,
) -> None:
    fakes.client.query(SLOT, fakes.turn)
    fakes.clock.now = 3600 - 59
    fakes.client.query(SLOT, fakes.turn)
    assert (fakes.provider.count(OAUTH), fakes.provider.count(LOGIN)) == (2, 1)
    assert fakes.authenticator.token_age_s() == 0


def test_a_token_of_short_life_is_used_for_most_of_it(fakes: ClientWithFakes) -> None:
    fakes.provider.life_s = 10
    fakes.client.query(SLOT, fakes.turn)
    fakes.clock.now = 8
    fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(OAUTH) == 1
    fakes.clock.now = 9.5
    fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(OAUTH) == 2


@pytest.mark.parametrize(
    ("refusals", "tokens", "sessions"),
    [
        ([BEARER_REFUSED], 2, 1),
        ([SESSION_REFUSED], 1, 2),
        ([BEARER_REFUSED, SESSION_REFUSED], 2, 2),
        ([SESSION_REFUSED, BEARER_REFUSED], 2, 2),
        ([Reply(401)], 2, 2),
    ],
)
def test_a_refusal_costs_one_renewal(
    refusals: list[Reply | Exception], tokens: int, sessions: int, fakes: ClientWithFakes
) -> None:
    fakes.provider.plan(FOTA, *refusals)
    assert fakes.client.query(SLOT, fakes.turn) is None
    assert (fakes.provider.count(OAUTH), fakes.provider.count(LOGIN)) == (tokens, sessions)
    assert fakes.slept == []


def test_what_is_refused_again_after_a_renewal_is_given_up(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, *[SESSION_REFUSED] * 9)
    with pytest.raises(AuthExpiredError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(FOTA) == 2


def test_several_threads_sign_in_once(fakes: ClientWithFakes) -> None:
    gate = threading.Barrier(8)

    def use() -> None:
        gate.wait()
        fakes.authenticator.tokens()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (fakes.provider.count(OAUTH), fakes.provider.count(LOGIN)) == (1, 1)


def test_what_another_thread_has_renewed_is_not_renewed_again(fakes: ClientWithFakes) -> None:
    used = fakes.authenticator.tokens()
    fakes.authenticator.invalidate(used, {"token", "session"})
    fresh = fakes.authenticator.tokens()
    fakes.authenticator.invalidate(used, {"token", "session"})
    assert fakes.authenticator.tokens() == fresh


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (WRONG_PASSWORD, "refused"),
        (Reply(401), "refused"),
        (Reply(400, b'{"errorCode": "X.Account.Locked"}'), "locked"),
        (unavailable(sent=False), "not-evaluated"),
        (BEARER_REFUSED, "not-evaluated"),
        (BEARER_REFUSED_AS_XML, "not-evaluated"),
        (unavailable(sent=True), "unanswered"),
        *((Reply(status), "unanswered") for status in (407, 408, 429, 500, 502, 503, 504, 599)),
        (Reply(503, b"<html>", {"retry-after": "5"}), "unanswered"),
        (Reply(200, b'{"sessionToken": "s\\u20ac"}'), "unanswered"),
        (Reply(200), "unanswered"),
        (Reply(200, b"<html>"), "unanswered"),
        (Reply(200, b'{"sessionToken": null}'), "unanswered"),
        (Reply(200, b'{"sessionTok'), "unanswered"),
        (Reply(204), "unanswered"),
        (Reply(200, SESSION_REFUSED.body), "unanswered"),
        (Reply(500, SESSION_REFUSED.body), "unanswered"),
        (Reply(200, BEARER_REFUSED.body), "unanswered"),
        (Reply(500, BEARER_REFUSED.body), "not-evaluated"),
        (Reply(302), "unanswered"),
        (Reply(400, b"<html>"), "unanswered"),
        (Reply(403), "refused"),
        (Reply(403, b'{"errorCode": "900901"}'), "refused"),
        (Reply(400, b'{"errorCode": "UnifiedWebService.REQUEST_FAILED.Login"}'), "refused"),
        (SESSION_REFUSED, "refused"),
        (Reply(500, b'{"errorCode": "INPUT_INVALID.Password.Invalid"}'), "refused"),
    ],
)
def test_the_breaker_learns_what_became_of_a_login(
    answer: Reply | Exception, outcome: str, fakes: ClientWithFakes
) -> None:
    fakes.provider.plan(LOGIN, answer, answer)
    with pytest.raises((StopError, UnavailableError, AuthExpiredError)):
        fakes.authenticator.tokens()
    assert fakes.breaker.outcomes[:2] == ["reserved", outcome]


def test_a_bearer_refused_at_login_is_renewed_and_costs_no_login(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(LOGIN, BEARER_REFUSED)
    fakes.authenticator.tokens()
    assert fakes.breaker.outcomes == ["reserved", "not-evaluated", "reserved", "accepted"]
    assert fakes.provider.count(OAUTH) == 2


def test_a_bearer_that_is_refused_at_every_login_is_tried_twice_a_minute_and_never_counted(
    fakes: ClientWithFakes, tmp_path: Path
) -> None:
    breaker = LoginBreaker([FileStore(tmp_path, "digest")])
    authenticator = Authenticator(fakes.provider, CREDENTIALS, breaker, fakes.clock)
    fakes.provider.plan(LOGIN, *[BEARER_REFUSED] * 99)
    for sent in (2, 4):
        for _ in range(12):
            with pytest.raises((AuthExpiredError, UnavailableError)) as caught:
                authenticator.tokens()
            assert caught.value.reason == "token-refused"
        assert fakes.provider.count(LOGIN) == sent
        fakes.clock.now += BEARER_PAUSE_S
    assert breaker.read().possibly_failed == 0
    fakes.provider.plan(LOGIN)
    authenticator.tokens()


def test_a_login_without_an_answer_is_not_tried_again_at_once(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(LOGIN, unavailable(sent=True))
    with pytest.raises(UnavailableError) as caught:
        fakes.client.query(SLOT, fakes.turn)
    assert caught.value.reason == "login-unanswered"
    assert fakes.provider.count(LOGIN) == 1
    assert fakes.slept == []


def test_nothing_is_sent_by_a_breaker_that_refuses(fakes: ClientWithFakes) -> None:
    def refuse() -> Reservation:
        raise StopError("breaker-open")

    fakes.breaker.reserve = refuse  # type: ignore[method-assign]
    with pytest.raises(StopError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(LOGIN) == 0


def test_the_session_is_ended_once_and_a_failure_of_that_is_only_told(
    fakes: ClientWithFakes,
) -> None:
    assert fakes.authenticator.log_out() is None
    assert fakes.provider.sent == []
    fakes.authenticator.tokens()
    fakes.provider.plan(LOGOUT, unavailable(sent=True))
    assert fakes.authenticator.log_out() == "timeout"
    assert fakes.authenticator.log_out() is None
    assert fakes.provider.count(LOGOUT) == 1


def test_an_outage_is_tried_a_few_times_with_growing_waits(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, *[Reply(503)] * 9)
    with pytest.raises(UnavailableError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(FOTA) == MAX_ATTEMPTS
    assert len(fakes.slept) == MAX_ATTEMPTS - 1
    assert all(0 <= seconds <= 2 for seconds in fakes.slept)


def test_a_short_retry_after_is_obeyed(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, Reply(429, b"", {"retry-after": "2"}))
    fakes.client.query(SLOT, fakes.turn)
    assert fakes.slept == [2]


def test_a_long_retry_after_is_left_to_the_caller(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, Reply(429, b"", {"retry-after": "120"}))
    with pytest.raises(UnavailableError) as caught:
        fakes.client.query(SLOT, fakes.turn)
    assert caught.value.retry_after_s == 120
    assert fakes.slept == []


@pytest.mark.parametrize("answer", [Reply(503), Reply(429, b"", {"retry-after": "1"})])
def test_client_sends_nothing_after_it_was_stopped(answer: Reply, fakes: ClientWithFakes) -> None:
    fakes.stopping = True
    fakes.provider.plan(FOTA, *[answer] * 9)
    with pytest.raises(UnavailableError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(FOTA) == 1
    assert len(fakes.slept) == 1


def test_sign_in_sends_nothing_after_the_process_was_stopped(fakes: ClientWithFakes) -> None:
    def stop() -> None:
        raise StoppingError

    with pytest.raises(StoppingError):
        fakes.client.query(SLOT, Turn(checks=(stop,)))
    assert fakes.provider.sent == []
    assert fakes.breaker.outcomes == []


def test_throttle_without_a_time_is_not_retried_within_the_call(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, *[Reply(429)] * 9)
    with pytest.raises(UnavailableError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(FOTA) == 1


def test_what_is_rejected_is_not_tried_again(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, Reply(400, b'{"errorCode": "INVALID_PARAMETER"}'))
    with pytest.raises(RejectedError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(FOTA) == 1


def test_permission_is_asked_before_every_attempt_to_write(fakes: ClientWithFakes) -> None:
    fakes.authenticator.tokens()
    asked = []

    def permit() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise NotExclusiveError("mutex-lost")

    fakes.provider.plan(FOTA, Reply(503))
    with pytest.raises(NotExclusiveError):
        fakes.client.register(
            SLOT, Registration("https://a.example.com"), Turn(fakes.wait, (permit,))
        )
    assert fakes.provider.count(FOTA) == 1


UNKNOWN = Reply(400, b'{"errorCode": "INVALID_PARAMETER", "errorMessage": "Bad request"}')
NOTHING = Reply(400, b'{"errorCode": "CALLBACK_NOT_REGISTERED"}')


@pytest.mark.parametrize(
    "refusal",
    [UNKNOWN, Reply(200, UNKNOWN.body), Reply(403), Reply(400, b"<html>"), Reply(405), Reply(302)],
)
def test_second_refusal_in_a_row_of_any_kind_renews_the_session(
    refusal: Reply, fakes: ClientWithFakes
) -> None:
    fakes.provider.plan(FOTA, refusal, refusal)
    with pytest.raises(RejectedError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(LOGIN) == 1
    assert fakes.client.query(SLOT, fakes.turn) is None
    assert fakes.provider.count(LOGIN) == 2
    assert fakes.breaker.outcomes == ["reserved", "accepted"] * 2


def test_refusals_with_a_success_in_between_renew_nothing(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, UNKNOWN, Reply(200), UNKNOWN, Reply(200), UNKNOWN)
    for _ in range(5):
        with suppress(RejectedError):
            fakes.client.query(SLOT, fakes.turn)
    assert fakes.provider.count(LOGIN) == 1


@pytest.mark.parametrize("refusal", [UNKNOWN, SESSION_REFUSED, Reply(401)])
def test_logins_that_do_not_help_are_made_less_and_less_often(
    refusal: Reply, fakes: ClientWithFakes
) -> None:
    fakes.provider.plan(FOTA, *[refusal] * 9999)
    for _ in range(60):
        fakes.clock.now += 60
        with pytest.raises((RejectedError, AuthExpiredError)):
            fakes.client.query(SLOT, fakes.turn)
    assert 4 <= fakes.provider.count(LOGIN) <= 8


def test_answers_that_nothing_is_registered_are_neither_refusals_nor_successes(
    fakes: ClientWithFakes,
) -> None:
    fakes.provider.plan(FOTA, UNKNOWN, NOTHING, UNKNOWN)
    with pytest.raises(RejectedError):
        fakes.client.query(SLOT, fakes.turn)
    assert fakes.client.query(SLOT, fakes.turn) is None
    assert fakes.client.query(SLOT, fakes.turn) is None
    assert fakes.provider.count(LOGIN) == 2


def test_deregistration_of_nothing_succeeds(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(f"{FOTA}/name/Fota", Reply(404), NOTHING)
    for _ in range(2):
        fakes.client.deregister(SLOT)
    assert fakes.provider.count(f"{FOTA}/name/Fota") == 2


def test_registration_that_is_answered_404_fails(fakes: ClientWithFakes) -> None:
    fakes.provider.plan(FOTA, Reply(404))
    with pytest.raises(RejectedError):
        fakes.client.register(SLOT, Registration("https://a.example.com"))
