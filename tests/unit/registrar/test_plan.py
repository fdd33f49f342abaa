from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.settings.secret import Secret
from registrar.model import Desired, Registration
from registrar.plan import FLAP_LIMIT, Action, Context, difference, plan, plan_farewell
from registrar.settings import Deregister

OURS = "https://fota.example.com/cb/new"
BEFORE = "https://fota.example.com/cb/old"
OTHERS = "https://other.example.com/cb"

WANTED = Registration(OURS, "me", Secret("new"))
DESIRED = Desired(WANTED, Registration(BEFORE))
RIGHT = Registration(OURS, "me", Secret("new"))
NOT_SHOWN = Registration(OURS)
OTHER_PASSWORD = Registration(OURS, "me", Secret("old"))
OLD_TOKEN = Registration(BEFORE, "me", Secret("new"))
FOREIGN = Registration(OTHERS, "them", Secret("x"))

NEVER = Context("never")
BOOT = Context("boot", boot=True)
LATER = Context("boot")
ALWAYS = Context("always")


def with_(context: Context, **changes: Any) -> Context:
    return replace(context, **changes)


NOTHING = Action("nothing", "as-desired")
ABSENT = Action("register", "absent")

TABLE = [
    # Nothing is registered: register, whatever else is the case.
    (None, NEVER, ABSENT),
    (None, BOOT, ABSENT),
    (None, LATER, ABSENT),
    (None, ALWAYS, ABSENT),
    (None, with_(LATER, superseded=True), ABSENT),
    (None, with_(ALWAYS, takeovers=FLAP_LIMIT), ABSENT),
    # As desired.
    (RIGHT, NEVER, NOTHING),
    (RIGHT, BOOT, NOTHING),
    (RIGHT, with_(ALWAYS, takeovers=9), NOTHING),
    (RIGHT, with_(LATER, superseded=True, sibling=True), NOTHING),
    (NOT_SHOWN, LATER, NOTHING),
    (NOT_SHOWN, BOOT, Action("register", "credentials-not-shown")),
    (NOT_SHOWN, with_(NEVER, boot=True), Action("register", "credentials-not-shown")),
    (NOT_SHOWN, with_(BOOT, superseded=True), NOTHING),
    # Our URL with other credentials.
    (OTHER_PASSWORD, NEVER, Action("register", "credentials-differ")),
    (OTHER_PASSWORD, LATER, Action("register", "credentials-differ")),
    (OTHER_PASSWORD, with_(LATER, superseded=True), Action("yield", "superseded")),
    (OTHER_PASSWORD, with_(LATER, takeovers=FLAP_LIMIT), Action("register", "credentials-differ")),
    # Our URL with the token before.
    (OLD_TOKEN, NEVER, Action("register", "token-rotated")),
    (OLD_TOKEN, with_(LATER, takeovers=FLAP_LIMIT), Action("register", "token-rotated")),
    (OLD_TOKEN, with_(LATER, superseded=True), Action("yield", "superseded")),
    # The URL of a deployment of the same namespace.
    (FOREIGN, with_(NEVER, sibling=True), Action("register", "sibling")),
    (FOREIGN, with_(NEVER, boot=True, sibling=True), Action("register", "sibling")),
    (FOREIGN, with_(NEVER, sibling=True, superseded=True), Action("yield", "superseded")),
    (FOREIGN, with_(BOOT, sibling=True), Action("register", "sibling")),
    (FOREIGN, with_(LATER, sibling=True), Action("register", "sibling")),
    (FOREIGN, with_(LATER, sibling=True, superseded=True), Action("yield", "superseded")),
    (FOREIGN, with_(ALWAYS, sibling=True, superseded=True), Action("yield", "superseded")),
    (FOREIGN, with_(LATER, sibling=True, takeovers=2), Action("register", "sibling")),
    # Somebody else's URL.
    (FOREIGN, NEVER, Action("yield", "another-owner")),
    (FOREIGN, with_(NEVER, boot=True), Action("yield", "another-owner")),
    (FOREIGN, LATER, Action("yield", "another-owner")),
    (FOREIGN, BOOT, Action("register", "takeover", contested=True)),
    (FOREIGN, ALWAYS, Action("register", "takeover", contested=True)),
    (FOREIGN, with_(ALWAYS, takeovers=FLAP_LIMIT - 1), Action("register", "takeover", True)),
    (FOREIGN, with_(ALWAYS, takeovers=FLAP_LIMIT), Action("yield", "flapping")),
    (FOREIGN, with_(BOOT, takeovers=FLAP_LIMIT), Action("yield", "flapping")),
    (FOREIGN, with_(LATER, takeovers=FLAP_LIMIT), Action("yield", "another-owner")),
    (FOREIGN, with_(ALWAYS, superseded=True), Action("yield", "superseded")),
    (FOREIGN, with_(BOOT, superseded=True), Action("yield", "superseded")),
]


@pytest.mark.parametrize(("actual", "context", "action"), TABLE)
def test_plan(actual: Registration | None, context: Context, action: Action) -> None:
    assert plan(DESIRED, actual, context) == action


contexts = st.builds(
    Context,
    takeover=st.sampled_from(["boot", "always", "never"]),
    boot=st.booleans(),
    superseded=st.booleans(),
    sibling=st.booleans(),
    takeovers=st.integers(min_value=0, max_value=5),
)
actuals = st.sampled_from([None, RIGHT, NOT_SHOWN, OTHER_PASSWORD, OLD_TOKEN, FOREIGN])


@given(actuals, contexts)
def test_planning_again_after_acting_finds_nothing_to_do(
    actual: Registration | None, context: Context
) -> None:
    action = plan(DESIRED, actual, context)
    left = WANTED if action.kind == "register" else actual
    again = plan(DESIRED, left, context)
    assert again.kind in {"nothing", "yield"}


@given(contexts)
def test_with_the_policy_never_a_strangers_url_stays_and_a_siblings_does_not(
    context: Context,
) -> None:
    action = plan(DESIRED, FOREIGN, replace(context, takeover="never"))
    ours_to_replace = context.sibling and not context.superseded
    assert action.kind == ("register" if ours_to_replace else "yield")


@pytest.mark.parametrize(
    ("actual", "said"),
    [
        (None, "nothing is registered"),
        (FOREIGN, "the URL differs"),
        (OTHER_PASSWORD, "the password differs"),
        (Registration(OURS, "them", Secret("x")), "the username and the password differ"),
        (RIGHT, ""),
        (NOT_SHOWN, ""),
    ],
)
def test_what_differs_is_told_without_its_value(actual: Registration | None, said: str) -> None:
    assert difference(WANTED, actual) == said


FAREWELLS = [
    (RIGHT, 0, "last", Action("deregister", "ours")),
    (RIGHT, 1, "last", Action("nothing", "members-remain")),
    (RIGHT, 0, "never", Action("nothing", "policy")),
    (RIGHT, 3, "always", Action("deregister", "ours")),
    (OLD_TOKEN, 0, "last", Action("deregister", "ours")),
    (OTHER_PASSWORD, 0, "last", Action("deregister", "ours")),
    (FOREIGN, 0, "last", Action("yield", "not-ours")),
    (FOREIGN, 0, "always", Action("yield", "not-ours")),
    (None, 0, "last", Action("nothing", "absent")),
]


@pytest.mark.parametrize(("actual", "members", "policy", "action"), FAREWELLS)
def test_plan_of_a_farewell(
    actual: Registration | None, members: int, policy: Deregister, action: Action
) -> None:
    assert plan_farewell(DESIRED, actual, members, policy) == action


def test_without_desired_credentials_shown_ones_differ() -> None:
    desired = Desired(Registration(OURS))
    assert plan(desired, RIGHT, LATER).reason == "credentials-differ"
    assert plan(desired, NOT_SHOWN, LATER).kind == "nothing"
