"""Makes the observation of one registration: what a tick or a shutdown found, did and left. Pure but for the time."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from listener.logs import Redactor
from listener.registration_state import Observation, Result
from registrar.errors import RegistrarError
from registrar.model import Desired, Registration, Slot
from registrar.plan import FLAP_LIMIT, Action, Kind, owns
from registrar.settings import RegistrarSettings
from registrar.url_display import shown_url

RESULT_BY_ACTION: dict[Kind, Result] = {
    "nothing": "as-desired",
    "register": "registered",
    "yield": "yielded",
    "deregister": "deregistered",
}


@dataclass(frozen=True)
class Observer:
    """Makes observations in the name of one member; the redactor and the public URL keep secrets out of them."""

    name: str
    public_url: str | None
    redactor: Redactor

    @classmethod
    def build(cls, settings: RegistrarSettings, name: str) -> "Observer":
        """The observer with these settings and the name of this member."""
        return cls(name, settings.service.public_url, Redactor(settings.secrets))

    def after_tick(
        self,
        slot: Slot,
        desired: Desired,
        before: Registration | None,
        after: Registration | None,
        action: Action,
        *,
        recent_takeovers: int,
    ) -> Observation:
        """A tick without a failure: what was registered before and after it, and how often it took over lately."""
        flapping = action.kind == "nothing" and recent_takeovers >= FLAP_LIMIT
        replaced = before if action.from_outsider or action.reason == "flapping" else None
        return replace(
            self._blank(slot, desired),
            registered_url=self._shown(after),
            ours=after is not None and owns(desired, after),
            contender=self._shown(replaced),
            result=RESULT_BY_ACTION[action.kind],
            reason="flapping" if flapping else action.reason,
        )

    def after_deregistration(
        self,
        slot: Slot,
        desired: Desired,
        before: Registration | None,
        after: Registration | None,
        action: Action,
    ) -> Observation:
        """A shutdown without a failure; `contender` is the URL that was removed or gave way."""
        removes = action.kind == "deregister"
        verified = not removes or after is None
        return replace(
            self._blank(slot, desired),
            registered_url=self._shown(after),
            ours=after is not None and owns(desired, after),
            contender=self._shown(before) if removes or action.kind == "register" else None,
            result=("deregistered" if verified else "failed") if removes else "left",
            reason=action.reason if verified else "not-verified",
        )

    def after_failure(self, slot: Slot, desired: Desired, error: RegistrarError) -> Observation:
        """A tick, or a shutdown, that failed."""
        return replace(self._blank(slot, desired), reason=error.reason, detail=error.detail)

    def _shown(self, registration: Registration | None) -> str | None:
        shown = shown_url(registration.url, self.public_url) if registration else None
        return shown and self.redactor.redact(shown)

    def _blank(self, slot: Slot, desired: Desired) -> Observation:
        url = self._shown(desired.registration)
        return replace(unknown(slot), desired_url=url, by=self.name)


def with_history(
    observation: Observation, before: Observation | None, *, recent_takeovers: int
) -> Observation:
    """The observation with what only the one before it knows: since when, and against whom.

    A failed tick keeps what was known of the registration; `ours` None says that it is not fresh.
    """
    if before is None:
        return observation
    if observation.ours is None:
        observation = replace(observation, registered_url=before.registered_url)
    unchanged = (observation.ours, observation.registered_url) == (
        before.ours,
        before.registered_url,
    )
    since = before.since if unchanged and before.since else observation.since
    contender = observation.contender or (before.contender if recent_takeovers else None)
    return replace(observation, since=since, contender=contender)


def unknown(slot: Slot, reason: str = "") -> Observation:
    """The observation, made now, that nothing is known of a slot."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Observation(
        account=slot.account,
        version=slot.version,
        registered_url=None,
        ours=None,
        tick=now,
        result="failed",
        reason=reason,
        since=now,
    )
