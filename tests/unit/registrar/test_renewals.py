"""How often a refused call may cost a login: no network, no clock but ours."""

import pytest

from registrar.errors import AuthExpiredError, RegistrarError, RejectedError
from registrar.model import Registration, Slot
from registrar.thingspace.renewals import FIRST_PAUSE_S, Renewals
from registrar.thingspace.requests import Call, deregister, query, register

TICK_S = 60.0
ACCEPTED = None
REJECTED = RejectedError("rejected", "HTTP 400")
UNAUTHORIZED = AuthExpiredError("unauthorized", "HTTP 401", ("token", "session"))
V1, V2, V3 = (Slot("0242078689-00001", version) for version in ("v1", "v2", "v3"))
URL = Registration("https://fota.example.com/cb")
# After 0, 1, 1+2, 1+2+4 … minutes, at the tick that comes next.
PACED = [0, 1, 3, 7, 15, 31]

Answers = list[tuple[Call, RegistrarError | None]]


def logins_of_an_hour(answers: Answers) -> list[int]:
    """The ticks, one a minute, in which a login was made; each call is answered alike every time."""
    now = 0.0
    renewals = Renewals(lambda: now)
    ticks = []
    for tick in range(60):
        now = tick * TICK_S
        for call, refusal in answers:
            if refusal is None:
                renewals.worked(call)
            # A call is tried once more after a login, and refused again.
            elif renewals.after(call, refusal) and not renewals.after(call, refusal):
                ticks.append(tick)
    return ticks


@pytest.mark.parametrize(
    "answers",
    [
        [(query(V1), ACCEPTED), (query(V2), REJECTED), (query(V3), REJECTED)],
        [(query(V2), REJECTED), (query(V3), REJECTED), (query(V1), ACCEPTED)],
        [(query(V1), ACCEPTED), (register(V1, URL), UNAUTHORIZED)],
        [(query(V1), ACCEPTED), (deregister(V1), UNAUTHORIZED), (query(V1), ACCEPTED)],
        [(query(V1), UNAUTHORIZED), (query(V2), ACCEPTED)],
    ],
    ids=["two-versions", "accepted-last", "post-alone", "delete-alone", "one-account"],
)
def test_call_that_is_refused_for_good_costs_logins_at_a_doubling_pace(answers: Answers) -> None:
    assert logins_of_an_hour(answers) == PACED


def test_session_that_died_is_replaced_at_once_each_time_if_the_new_one_helps() -> None:
    renewals = Renewals(lambda: 0.0)
    for _ in range(5):
        assert not renewals.after(query(V1), REJECTED)
        assert renewals.after(query(V2), REJECTED) == {"session"}
        renewals.worked(query(V2))
        renewals.worked(query(V1))


def test_new_session_that_helped_another_refused_call_ends_the_pace_of_sessions() -> None:
    """The call that was tried with it first may be refused for a reason of its own."""
    renewals = Renewals(lambda: 0.0)
    for _ in range(3):
        renewals.after(query(V1), REJECTED)
        assert renewals.after(query(V2), REJECTED) == {"session"}
        assert not renewals.after(query(V2), REJECTED)
        renewals.worked(query(V1))


def test_call_that_is_accepted_again_begins_with_the_first_pause() -> None:
    now = 0.0
    renewals = Renewals(lambda: now)
    for _ in range(3):
        assert renewals.after(query(V1), UNAUTHORIZED)
        now += 2 * FIRST_PAUSE_S
    renewals.worked(query(V1))
    assert renewals.after(query(V1), UNAUTHORIZED)
    now += FIRST_PAUSE_S
    assert renewals.after(query(V1), UNAUTHORIZED)
