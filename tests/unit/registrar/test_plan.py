"""The plan: what is done about one registration, for every context."""

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from listener.settings.secret import Secret
from registrar.model import Desired, Registration
from registrar.plan import (
    FLAP_LIMIT,
    Action,
    DeregistrationContext,
    PlanContext,
    Takeover,
    difference,
    plan,
    plan_deregistration,
)

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

NEVER = PlanContext("never")
BOOT = PlanContext("boot", boot=True)
LATER = PlanContext("boot")
ALWAYS = PlanContext("always")


def with_(context: PlanContext, **changes: Any) -> PlanContext:
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
    (FOREIGN, BOOT, Action("register", "takeover", from_outsider=True)),
    (FOREIGN, ALWAYS, Action("register", "takeover", from_outsider=True)),
    (FOREIGN, with_(ALWAYS, takeovers=FLAP_LIMIT - 1), Action("register", "takeover", True)),
    (FOREIGN, with_(ALWAYS, takeovers=FLAP_LIMIT), Action("yield", "flapping")),
    (FOREIGN, with_(BOOT, takeovers=FLAP_LIMIT), Action("yield", "flapping")),
    (FOREIGN, with_(LATER, takeovers=FLAP_LIMIT), Action("yield", "another-owner")),
    (FOREIGN, with_(ALWAYS, superseded=True), Action("yield", "superseded")),
    (FOREIGN, with_(BOOT, superseded=True), Action("yield", "superseded")),
]


@pytest.mark.parametrize(("actual", "context", "action"), TABLE)
def test_plan(actual: Registration | None, context: PlanContext, action: Action) -> None:
    assert plan(DESIRED, actual, context) == action


CONTEXTS = [
    PlanContext(takeover, boot=boot, superseded=superseded, sibling=sibling, takeovers=takeovers)
    for takeover, boot, superseded, sibling, takeovers in product(
        get_args(Takeover), (True, False), (True, False), (True, False), range(FLAP_LIMIT + 2)
    )
]
ACTUALS = [None, RIGHT, NOT_SHOWN, OTHER_PASSWORD, OLD_TOKEN, FOREIGN]


@pytest.mark.parametrize("shown", [RIGHT, NOT_SHOWN], ids=["shown", "not-shown"])
@pytest.mark.parametrize("actual", ACTUALS)
def test_registration_is_not_written_again_at_the_next_tick(
    actual: Registration | None, shown: Registration
) -> None:
    written = [context for context in CONTEXTS if plan(DESIRED, actual, context).kind == "register"]
    assert written or actual == RIGHT
    for context in written:
        assert plan(DESIRED, shown, with_(context, boot=False)) == NOTHING, context


@pytest.mark.parametrize("context", [each for each in CONTEXTS if each.takeover == "never"])
def test_policy_never_keeps_a_strangers_url_and_replaces_a_siblings(context: PlanContext) -> None:
    action = plan(DESIRED, FOREIGN, context)
    if context.superseded:
        assert action == Action("yield", "superseded")
    elif context.sibling:
        assert action == Action("register", "sibling")
    else:
        assert action == Action("yield", "another-owner")


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


REPLACED = Registration("https://replaced.example.com/cb")
AT_OURS, AT_REPLACED = frozenset((OURS, OLD_TOKEN.url)), frozenset((REPLACED.url,))
SHUTDOWNS = [
    (RIGHT, frozenset(), None, Action("deregister", "ours")),
    (OLD_TOKEN, frozenset(), None, Action("deregister", "ours")),
    (OTHER_PASSWORD, frozenset(), None, Action("deregister", "ours")),
    (FOREIGN, frozenset((FOREIGN.url,)), None, Action("yield", "not-ours")),
    (FOREIGN, AT_REPLACED, REPLACED, Action("yield", "not-ours")),
    (None, AT_OURS, REPLACED, Action("nothing", "absent")),
    (RIGHT, AT_OURS, None, Action("yield", "served-by-others")),
    (OLD_TOKEN, AT_OURS, None, Action("yield", "served-by-others")),
    (RIGHT, AT_OURS | AT_REPLACED, REPLACED, Action("yield", "served-by-others")),
    (RIGHT, AT_REPLACED, REPLACED, Action("register", "given-back")),
    (RIGHT, AT_REPLACED, None, Action("deregister", "ours")),
    (RIGHT, frozenset(), REPLACED, Action("deregister", "ours")),
]


@pytest.mark.parametrize(("actual", "served", "replaced", "action"), SHUTDOWNS)
def test_plan_at_a_shutdown(
    actual: Registration | None,
    served: frozenset[str],
    replaced: Registration | None,
    action: Action,
) -> None:
    context = DeregistrationContext(served.__contains__, replaced)
    assert plan_deregistration(DESIRED, actual, context) == action


@pytest.mark.parametrize(
    ("actual", "asked"),
    [(None, []), (FOREIGN, []), (RIGHT, [OURS, REPLACED.url])],
    ids=["nothing", "foreign", "ours"],
)
def test_plan_at_a_shutdown_asks_only_at_urls_on_which_it_rests(
    actual: Registration | None, asked: list[str]
) -> None:
    urls: list[str] = []

    def is_served_by_others(url: str) -> bool:
        urls.append(url)
        return False

    plan_deregistration(DESIRED, actual, DeregistrationContext(is_served_by_others, REPLACED))
    assert urls == asked


def test_without_desired_credentials_shown_ones_differ() -> None:
    desired = Desired(Registration(OURS))
    assert plan(desired, RIGHT, LATER).reason == "credentials-differ"
    assert plan(desired, NOT_SHOWN, LATER).kind == "nothing"


def test_foreign_url_without_a_token_before_is_another_owners() -> None:
    assert plan(Desired(WANTED), FOREIGN, LATER) == Action("yield", "another-owner")


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        (Registration(OURS), NOT_SHOWN),
        (WANTED, Registration(OURS, "me")),
        (WANTED, Registration(OURS, None, Secret("new"))),
    ],
)
def test_credentials_are_written_at_boot_only_if_wanted_and_none_is_shown(
    wanted: Registration, actual: Registration
) -> None:
    assert plan(Desired(wanted), actual, BOOT) == NOTHING


def test_two_strangers_that_both_insist_write_four_times_in_all() -> None:
    rivals = [Desired(WANTED), Desired(Registration(OTHERS, "them", Secret("x")))]
    contexts = [ALWAYS, ALWAYS]
    actual: Registration | None = rivals[1].registration
    written = 0
    for turn in range(20):
        number = turn % 2
        context = contexts[number]
        action = plan(rivals[number], actual, context)
        if action.kind == "register":
            assert action == Action("register", "takeover", True)
            written += 1
            actual = rivals[number].registration
            contexts[number] = with_(context, takeovers=context.takeovers + 1)
    assert written == 4


def test_registering_where_nothing_was_takes_nothing_from_an_outsider() -> None:
    assert plan(DESIRED, None, ALWAYS) == Action("register", "absent", False)
