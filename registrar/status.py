"""What `status` prints: collected from Redis and ThingSpace, as data, as lines, and as an exit status."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import redis

from listener.registration_state import Observation
from registrar.coordination.coordination import Coordination
from registrar.coordination.membership import Members
from registrar.login_breaker.breaker import LoginBreaker
from registrar.login_breaker.record import LoginRecord
from registrar.model import Slot
from registrar.reconcile.observer import unknown
from registrar.settings import RegistrarSettings


@dataclass(frozen=True)
class Row:
    """The state of one account in one API version.

    Attributes:
        now: what ThingSpace shows, or, with `--stored`, the last tick's observation.
        last: the last tick's observation; None if there is none or Redis cannot be reached.
        as_desired: whether the desired registration is there and nobody fights for it.
    """

    now: Observation
    last: Observation | None
    as_desired: bool

    @classmethod
    def of(cls, now: Observation, last: Observation | None) -> "Row":
        """The row of what is known now and at the last tick."""
        flapping = last is not None and last.reason == "flapping"
        return cls(now, last, as_desired=now.healthy and not flapping)

    @property
    def reason(self) -> str:
        """Why the state is so. The reason for which the last tick had to write is none once all is well."""
        return "as-desired" if self.as_desired else self.now.reason

    @property
    def since(self) -> str | None:
        """Since when the state has been the same, as ISO 8601; None: unknown."""
        now, last = self.now, self.last
        if last and (now.ours, now.registered_url) == (last.ours, last.registered_url):
            return last.since
        return None

    def data(self) -> dict[str, Any]:
        """One object of `--json`'s `registrations`."""
        now, last = self.now, self.last
        return {
            "account": now.account,
            "version": now.version,
            "as_desired": self.as_desired,
            "desired_url": now.desired_url,
            "registered_url": now.registered_url,
            "ours": now.ours,
            "reason": self.reason,
            "detail": now.detail,
            "since": self.since,
            "contender": last.contender if last else None,
            "last_tick": asdict(last) if last else None,
        }

    def columns(self) -> tuple[str, ...]:
        """One line of the table."""
        now, last = self.now, self.last
        flapping = last is not None and last.reason == "flapping"
        fight = f"flapping with {last.contender} " if last and flapping else ""
        return (
            f"{now.account} {now.version}",
            now.registered_url or ("nothing" if now.ours is False else "unknown"),
            {True: "yes", False: "no", None: "?"}[now.ours],
            _to_the_second(self.since),
            f"{_to_the_second(last.tick)} {last.result}" if last else "-",
            f"{'ok' if self.as_desired else 'NOT AS DESIRED'} {fight}{self.reason}",
        )


@dataclass(frozen=True)
class Report:
    """Everything that `status` prints; `members` is None if Redis cannot be reached."""

    rows: tuple[Row, ...]
    members: Members | None
    login_record: LoginRecord
    stored: bool

    @property
    def as_desired(self) -> bool:
        """Whether the exit status is 0."""
        return bool(self.rows) and all(row.as_desired for row in self.rows)

    def to_json(self) -> str:
        """For programs."""
        members = self.members.live if self.members else ()
        record = self.login_record
        return json.dumps(
            {
                "as_desired": self.as_desired,
                "source": "stored" if self.stored else "thingspace",
                "registrations": [row.data() for row in self.rows],
                "redis": self.members is not None,
                "members": [
                    {
                        "name": member.identity.name,
                        "deployment": member.identity.deployment,
                        "joined": _iso_time(member.joined_ms),
                        "lease_expires_in_s": member.expires_in_s,
                    }
                    for member in members
                ],
                "breaker": {
                    "open": record.open,
                    "refused": record.refused,
                    "unanswered": record.unanswered,
                    "pending": len(record.pending),
                },
            },
            indent=2,
        )

    def lines(self) -> list[str]:
        """What people read below the table."""
        return [*self._failures(), self._members_line(), self._token(), self._breaker()]

    def _failures(self) -> list[str]:
        """Each failure once: a failed login is that of every row."""
        failed = [row.now for row in self.rows if row.now.detail]
        return list(dict.fromkeys(f"{now.reason}: {now.detail}" for now in failed))

    def _members_line(self) -> str:
        if self.members is None:
            return "members: unknown, Redis cannot be reached"
        return "members: " + (", ".join(self.members.names) or "none")

    def _token(self) -> str:
        ages = [row.last.token_age_s for row in self.rows if row.last]
        known = [age for age in ages if age is not None]
        age = f"{max(known):.0f} s old at the last tick" if known else "-"
        return f"oauth token: {age}"

    def _breaker(self) -> str:
        record = self.login_record
        if record.open:
            return f"login breaker: OPEN, no login is tried. {record.advice}"
        counts = f"{record.refused} refused, {record.unanswered} unanswered"
        return f"login breaker: closed ({counts}, {len(record.pending)} under way)"


def collect(
    settings: RegistrarSettings,
    coordination: Coordination,
    breaker: LoginBreaker,
    query: Callable[[], Sequence[Observation]] | None,
) -> Report:
    """Collects the report.

    Args:
        settings: checked ones.
        coordination: what the replicas left in Redis.
        breaker: the login breaker.
        query: asks ThingSpace; None: take what the last tick stored, if it is recent.
    """
    stored, members = _read_shared(settings, coordination)
    observations = query() if query else list(map(_from_last_tick, settings.slots, stored))
    rows = tuple(Row.of(now, last) for now, last in zip(observations, stored, strict=True))
    return Report(rows, members, breaker.read(), stored=query is None)


def _read_shared(
    settings: RegistrarSettings, coordination: Coordination
) -> tuple[Sequence[Observation | None], Members | None]:
    """What the replicas left in Redis. Asks nothing more after a failure, since each answer is waited for."""
    stored: Sequence[Observation | None] = [None] * len(settings.slots)
    try:
        stored = coordination.state.observations(settings.slots)
        return stored, coordination.members()
    except redis.RedisError:
        return stored, None


def _from_last_tick(slot: Slot, last: Observation | None) -> Observation:
    """The stored observation; in place of one that is missing or stale an unknown one."""
    if last is None:
        return unknown(slot, "no-observation")
    if last.is_stale(datetime.now(UTC)):
        return replace(last, ours=None, result="failed", reason="stale")
    return last


def _to_the_second(moment: str | None) -> str:
    return f"{moment[:19].replace('T', ' ')}Z" if moment else "-"


def _iso_time(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds")
