"""Plans what to do about one registration. Pure: desired and actual and context in, action out.

| actual | superseded | policy | action |
|---|---|---|---|
| nothing | - | - | register: `absent` |
| our URL, right credentials (or not shown) | - | - | nothing: `as-desired` |
| our URL, credentials wanted and none shown, at boot | no | - | register: `credentials-not-shown` |
| another, or other credentials | yes | - | yield: `superseded` |
| our URL, other credentials | no | - | register: `credentials-differ` |
| our URL with the token before | no | - | register: `token-rotated` |
| URL of a deployment of this namespace | no | - | register: `sibling` |
| somebody else's URL | no | `never`, `boot` later on | yield: `another-owner` |
| | no | `boot` at boot, `always` | register: `takeover` |

A `takeover` becomes yield: `flapping`, after `FLAP_LIMIT` takeovers within the window: two deployments that
both insist stop after four takeovers in all. What a namespace replaces of its own (a deployment that
rolls back and forth, a password that is rotated) is no fight, and is not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from registrar.model import Desired, Registration, same_url

Takeover = Literal["boot", "always", "never"]
Kind = Literal["nothing", "register", "yield", "deregister"]
Reason = Literal[
    "absent",
    "as-desired",
    "superseded",
    "credentials-differ",
    "credentials-not-shown",
    "token-rotated",
    "sibling",
    "another-owner",
    "takeover",
    "flapping",
    "ours",
    "not-ours",
    "served-by-others",
    "given-back",
    "by-hand",
    "not-as-desired",
]

FLAP_LIMIT = 2
"""How many takeovers a deployment makes within a window. Two deployments that fight make four."""

FLAP_WINDOW_INTERVALS = 100
"""The window, in reconciliation intervals: at the default of a minute, a hundred minutes."""


@dataclass(frozen=True)
class PlanContext:
    """What else the decision rests on.

    Attributes:
        takeover: the policy for another owner's URL.
        boot: whether this process has not yet completed a tick for this slot.
        superseded: whether a deployment of the same namespace that joined later is alive.
        sibling: whether the actual URL belongs, or belonged, to another deployment of the namespace.
        takeovers: how many takeovers this deployment made within the window.
    """

    takeover: Takeover
    boot: bool = False
    superseded: bool = False
    sibling: bool = False
    takeovers: int = 0


def _by_nobody(_url: str) -> bool:
    return False


@dataclass(frozen=True)
class DeregistrationContext:
    """What else the decision at a shutdown rests on. The default spares nothing: a person has decided.

    Attributes:
        is_served_by_others: whether another deployment answers at a URL; asked only for a URL on which the
            decision rests, because it takes seconds.
        replaced: what this process replaced last, written by somebody outside the namespace, to be given back.
    """

    is_served_by_others: Callable[[str], bool] = _by_nobody
    replaced: Registration | None = None


@dataclass(frozen=True)
class Action:
    """What to do, and why. `from_outsider`: it replaces what somebody outside the namespace wrote."""

    kind: Kind
    reason: Reason
    from_outsider: bool = False


def plan(desired: Desired, actual: Registration | None, context: PlanContext) -> Action:
    """The table above."""
    if actual is None:
        return Action("register", "absent")
    if matches(desired.registration, actual):
        if context.boot and not context.superseded and _hides_credentials(desired, actual):
            # Either the provider hides them, or they were never registered: then every message arrives without
            # them and is refused. One write at each boot is harmless.
            return Action("register", "credentials-not-shown")
        return Action("nothing", "as-desired")
    if context.superseded:
        return Action("yield", "superseded")
    return _plan_difference(desired, actual, context)


def _plan_difference(desired: Desired, actual: Registration, context: PlanContext) -> Action:
    """What to do about a registration that is not as desired, if nobody newer is responsible."""
    reason = _reason_to_write(desired, actual, context)
    if reason is None:
        return Action("yield", "another-owner")
    if reason != "takeover":
        return Action("register", reason)
    if context.takeovers >= FLAP_LIMIT:
        return Action("yield", "flapping")
    return Action("register", reason, from_outsider=True)


def plan_deregistration(
    desired: Desired, actual: Registration | None, context: DeregistrationContext
) -> Action:
    """What to do about a registration at the shutdown of the last member, so that no messages lose their receiver.

    Only a URL that is provably ours is deregistered.
    """
    if actual is None:
        return Action("nothing", "absent")
    if not owns(desired, actual):
        return Action("yield", "not-ours")
    if context.is_served_by_others(actual.url):
        return Action("yield", "served-by-others")
    # A replaced URL that leads to ourselves leads to nobody once this process has ended.
    if context.replaced and context.is_served_by_others(context.replaced.url):
        return Action("register", "given-back")
    return Action("deregister", "ours")


def owns(desired: Desired, actual: Registration) -> bool:
    """Whether the actual URL is this deployment's, with its present or its previous token."""
    mine = (desired.registration, desired.previous)
    return any(same_url(one.url, actual.url) for one in mine if one)


def matches(wanted: Registration, actual: Registration) -> bool:
    """Whether nothing needs to change: the URL is ours, and so are the credentials, as far as shown.

    v2 and v3 never show any, and v1 shows them in clear [doc].
    """
    return not difference(wanted, actual)


def difference(wanted: Registration, actual: Registration | None) -> str:
    """What of a registration is not as wanted, in words that hold no value; empty: nothing."""
    if actual is None:
        return "nothing is registered"
    if not same_url(wanted.url, actual.url):
        return "the URL differs"
    shown = {"username": actual.username, "password": actual.password}
    names = [
        name
        for name, shown_value in shown.items()
        if shown_value not in (None, getattr(wanted, name))
    ]
    verb = "differs" if len(names) == 1 else "differ"
    return f"the {' and the '.join(names)} {verb}" if names else ""


def _hides_credentials(desired: Desired, actual: Registration) -> bool:
    wanted = desired.registration
    return wanted.password is not None and actual.username is None and actual.password is None


def _reason_to_write(desired: Desired, actual: Registration, context: PlanContext) -> Reason | None:
    """The reason for which the registration is ours to write; None: it is not."""
    if same_url(desired.registration.url, actual.url):
        return "credentials-differ"
    if owns(desired, actual):
        return "token-rotated"
    if context.sibling:
        # Not a takeover: of the deployments of one namespace the newest decides (docs/adr/0006).
        return "sibling"
    if context.takeover == "always" or (context.takeover == "boot" and context.boot):
        return "takeover"
    return None
