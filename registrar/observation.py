"""What a tick saw and did about one registration: for the log, the status page and `status`. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from listener.logs import Redactor
from registrar.errors import RegistrarError
from registrar.model import Desired, Registration, Slot
from registrar.plan import FLAP_LIMIT, Action, owns
from registrar.url_display import shown_url

Result = Literal["as-desired", "registered", "deregistered", "yielded", "left", "failed"]

SETTLED: dict[str, Result] = {
    "nothing": "as-desired",
    "register": "registered",
    "yield": "yielded",
    "deregister": "deregistered",
}


@dataclass(frozen=True)
class Observation:
    """One slot as one tick left it; stored as JSON, field by field. URLs are without secrets.

    Attributes:
        registered_url: what is registered; None: nothing, or unknown (see `ours`).
        ours: whether that is our URL; None: the provider could not be asked.
        since: since when that has been so, RFC 3339.
        contender: the URL that we replaced last, while such replacings are counted.
        tick: when this was seen.
        result: what the tick did; `reason` why, one word; `detail` for people.
        by: the member that saw it, with its fencing token (0: without the mutex).
        token_age_s: how old that member's OAuth token was, in seconds.
        interval_s: how long that member waits until its next look, in seconds; None: an older version wrote it.
    """

    account: str
    version: str
    desired_url: str | None
    registered_url: str | None
    ours: bool | None
    since: str
    contender: str | None
    tick: str
    result: Result
    reason: str
    detail: str
    by: str
    fence: int
    token_age_s: float | None
    interval_s: float | None = None

    @classmethod
    def unknown(cls, slot: Slot, reason: str = "") -> "Observation":
        """Nothing was seen."""
        now = timestamp()
        return cls(
            account=slot.account,
            version=slot.version,
            desired_url=None,
            registered_url=None,
            ours=None,
            since=now,
            contender=None,
            tick=now,
            result="failed",
            reason=reason,
            detail="",
            by="",
            fence=0,
            token_age_s=None,
        )

    @property
    def slot(self) -> Slot:
        """Where it was seen."""
        return Slot(self.account, self.version)

    @property
    def healthy(self) -> bool:
        """Whether all is as desired, and nobody fights over it."""
        settled = self.result in {"as-desired", "registered"}
        return settled and self.ours is True and self.reason != "flapping"

    def to_json(self) -> str:
        """For Redis and for `status --json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Observation | None":
        """Reads what another version may have written; None if this one cannot.

        Fields that only a newer version knows are ignored. A field that is missing, or of another type, makes
        all of it unreadable: half an observation would be taken for a whole one.
        """
        try:
            content = json.loads(text)
            found = {name: _checked(content[name], kind) for name, kind in _KINDS.items()}
            interval_s = _checked(content.get("interval_s"), int | float | None)
            _ = [_moment(found[name]) for name in ("since", "tick")]
        except (TypeError, ValueError, KeyError, RecursionError):
            return None
        return cls(**found, interval_s=interval_s)


_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(
        ("account", "version", "since", "tick", "result", "reason", "detail", "by"), str
    ),
    **dict.fromkeys(("desired_url", "registered_url", "contender"), str | None),
    "ours": bool | None,
    "fence": int,
    "token_age_s": int | float | None,
}


def _checked(value: Any, kind: Any) -> Any:
    is_flag = isinstance(value, bool)
    # To Python a flag is a number as well.
    if not isinstance(value, kind) or (is_flag and kind in (int, int | float | None)):
        raise TypeError(kind)
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("without a time zone")
    return moment


@dataclass(frozen=True)
class Observer:
    """Who observes, and what tells which part of a URL is a secret."""

    name: str
    public_url: str | None
    redactor: Redactor

    def saw(
        self,
        slot: Slot,
        desired: Desired,
        found: Registration | None,
        left: Registration | None,
        action: Action,
        *,
        fights: int,
    ) -> Observation:
        """A tick that got through: what it found, what it left, and how often it fought lately."""
        contested = action.kind == "nothing" and fights >= FLAP_LIMIT
        rival = found if action.contested or action.reason == "flapping" else None
        return replace(
            self._blank(slot, desired),
            registered_url=self._shown(left),
            ours=left is not None and owns(desired, left),
            contender=self._shown(rival),
            result=SETTLED[action.kind],
            reason="flapping" if contested else action.reason,
        )

    def parted(
        self,
        slot: Slot,
        desired: Desired,
        found: Registration | None,
        left: Registration | None,
        action: Action,
    ) -> Observation:
        """A farewell that got through; `contender` is the URL that was removed or gave way."""
        gone = action.kind == "deregister"
        verified = not gone or left is None
        return replace(
            self._blank(slot, desired),
            registered_url=self._shown(left),
            ours=left is not None and owns(desired, left),
            contender=self._shown(found) if gone or action.kind == "register" else None,
            result=("deregistered" if verified else "failed") if gone else "left",
            reason=action.reason if verified else "not-verified",
        )

    def failed(self, slot: Slot, desired: Desired, error: RegistrarError) -> Observation:
        """A tick that did not get through."""
        return replace(self._blank(slot, desired), reason=error.reason, detail=error.detail)

    def _shown(self, registration: Registration | None) -> str | None:
        shown = shown_url(registration.url, self.public_url) if registration else None
        return shown and self.redactor.redact(shown)

    def _blank(self, slot: Slot, desired: Desired) -> Observation:
        url = self._shown(desired.registration)
        return replace(Observation.unknown(slot), desired_url=url, by=self.name)


def following(seen: Observation, before: Observation | None, *, fights: int) -> Observation:
    """The observation with what only the one before it knows: since when, and against whom.

    A failed tick keeps what was known of the registration; `ours` None says that it is not fresh.
    """
    if before is None:
        return seen
    if seen.ours is None:
        seen = replace(seen, registered_url=before.registered_url)
    same = (seen.ours, seen.registered_url) == (before.ours, before.registered_url)
    contender = seen.contender or (before.contender if fights else None)
    return replace(seen, since=before.since if same else seen.since, contender=contender)


def timestamp() -> str:
    """Now, RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
