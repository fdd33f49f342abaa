"""The stored observation: what the registrar observed last of one registration, as JSON in Redis. Pure.

The registrar writes it; `check`, the status page, `/metrics` and `registrar status` read it, also as another version wrote it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

Result = Literal["as-desired", "registered", "deregistered", "yielded", "left", "failed"]
RESULTS: frozenset[str] = frozenset(get_args(Result))

# The reasons of the registrar for: refused logins have stopped all further logins.
NO_MORE_LOGINS = frozenset(("breaker-open", "account-locked"))
# The results of the registrar for: the service stopped, and deregistered its URL or left that to other replicas.
STOPPED = frozenset(("deregistered", "left"))

# The reasons of the registrar for: others removed or replaced the registration. A roll-out, a rotated token and a new
# password are our own doing.
DRIFT_REASONS = frozenset({"absent", "takeover", "another-owner", "flapping"})

STALE_INTERVALS = 5
# The registrar repeats a failed observation within minutes, and keeps a pause that the provider asks for.
MIN_STALE_S = 600.0
# The default of REGISTRAR_INTERVAL_S before observations stored their interval.
FORMER_INTERVAL_S = 300


@dataclass(frozen=True)
class Observation:
    """One account and API version as the registrar left it. URLs are without secrets.

    Attributes:
        registered_url: what is registered; None: nothing. If ThingSpace could not be asked, the last known one.
        ours: whether that is our URL; None: ThingSpace could not be asked.
        tick: when it was observed, RFC 3339.
        result: what the registrar did; `reason` why, one word; `detail` for people.
        desired_url: what is to be registered.
        since: since when `ours` and `registered_url` have been so, RFC 3339; empty: an older version stored it.
        contender: the URL that ours replaced, or that replaced ours, while such takeovers are recent.
        by: the member that observed it, with its fencing token (0: without the mutex).
        token_age_s: how old that member's OAuth token was, in seconds.
        interval_s: how long that member waits until its next tick, in seconds; None: an older version stored it.
    """

    account: str
    version: str
    registered_url: str | None
    ours: bool | None
    tick: str
    result: str
    reason: str
    detail: str = ""
    desired_url: str | None = None
    since: str = ""
    contender: str | None = None
    by: str = ""
    fence: int = 0
    token_age_s: float | None = None
    interval_s: float | None = None

    @property
    def key(self) -> str:
        """Its field in Redis, `<account>/<version>`."""
        return f"{self.account}/{self.version}"

    @classmethod
    def unreadable(cls, key: str) -> "Observation":
        """Stands for one that this version cannot read: it has no time, and says nothing."""
        account, _, version = key.partition("/")
        return cls(account, version, None, None, "", "unreadable", "")

    @property
    def observed_at(self) -> datetime | None:
        """`tick`, in UTC; None: it is unreadable."""
        return _moment(self.tick) if self.tick else None

    @property
    def healthy(self) -> bool:
        """Whether all is as desired, and nobody fights over it."""
        settled = self.result in {"as-desired", "registered"}
        return settled and self.ours is True and self.reason != "flapping"

    @property
    def deregistered_on_purpose(self) -> bool:
        """Whether the URL is not registered because the service was stopped."""
        return self.ours is not True and self.result in STOPPED

    @property
    def loses_messages(self) -> bool:
        """Whether ThingSpace did not call our URL, or did not until this observation."""
        was_away = self.result == "registered" and self.reason in DRIFT_REASONS
        return was_away or (self.ours is False and not self.deregistered_on_purpose)

    def is_stale(self, now: datetime) -> bool:
        """Whether the registrar is several observations late, so that this one says little of now."""
        if self.observed_at is None:
            return False
        limit_s = max(STALE_INTERVALS * (self.interval_s or FORMER_INTERVAL_S), MIN_STALE_S)
        return (now - self.observed_at).total_seconds() > limit_s

    def to_json(self) -> str:
        """For Redis and for `status --json`.

        Raises:
            ValueError: a reader of this version would take it for unreadable, or for less than it says.
        """
        content = asdict(self)
        if self.result not in RESULTS or _read(content) != content:
            raise ValueError(f"not an observation: {self.result}, {self.tick}, {self.since}")
        return json.dumps(content)

    @classmethod
    def from_json(cls, key: str, text: str | bytes) -> "Observation | None":
        """Reads what another version may have stored; None if this version cannot.

        Fields that only a newer version knows are ignored. A field that an older version did not know is missing, and
        has its default; so has one of another type. Without `registered_url`, `ours`, `tick`, `result` and `reason`
        it is unreadable: half an observation would be taken for a whole one.

        Args:
            key: `<account>/<version>`.
            text: JSON.
        """
        account, _, version = key.partition("/")
        try:
            return cls(**{**_read(json.loads(text)), "account": account, "version": version})
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
            return None


def _moment(text: str) -> datetime:
    """Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("without a time zone")
    return moment.astimezone(UTC)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_flag_or_none(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # To Python a flag is a number as well.
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    try:
        return bool(_moment(value))
    except (TypeError, ValueError, OverflowError):
        return False


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "registered_url": _is_text_or_none,
    "ours": _is_flag_or_none,
    "tick": _is_time,
    "result": _is_text,
    "reason": _is_text,
    "account": _is_text,
    "version": _is_text,
    "detail": _is_text,
    "desired_url": _is_text_or_none,
    "since": _is_time,
    "contender": _is_text_or_none,
    "by": _is_text,
    "fence": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "token_age_s": _is_number,
    "interval_s": _is_number,
}
REQUIRED = ("registered_url", "ours", "tick", "result", "reason")
NAMES = tuple(field.name for field in fields(Observation))


def _read(content: Mapping[str, Any]) -> dict[str, Any]:
    """The known fields that have the right type, by name. Raises TypeError or KeyError if one that is required has not."""
    if not isinstance(content, Mapping):
        raise TypeError(content)
    for name in REQUIRED:
        if not CHECKS[name](content[name]):
            raise TypeError(name)
    defaults = {field.name: field.default for field in fields(Observation)}
    return {
        name: content[name] if CHECKS[name](content[name]) else defaults[name]
        for name in NAMES
        if name in content
    }
