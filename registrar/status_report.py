"""What `status` prints: as data, as a table, and as an exit status."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from registrar.coordination.membership import Roll
from registrar.login_breaker.record import LoginRecord
from registrar.observation import Observation
from registrar.url_display import printable


@dataclass(frozen=True)
class Row:
    """One account and version.

    Attributes:
        now: what ThingSpace says, or, with `--stored`, what the last tick saw.
        last: what the last tick saw; None if there was none or Redis cannot be reached.
        as_desired: whether nothing is left to be wished for.
    """

    now: Observation
    last: Observation | None
    as_desired: bool

    @property
    def reason(self) -> str:
        """Why it is so; a tick's own reason may be why it had to write, and all is well since."""
        return "as-desired" if self.as_desired else self.now.reason

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
            "since": last.since if last and _same(now, last) else None,
            "contender": last.contender if last else None,
            "last_tick": asdict(last) if last else None,
        }

    def cells(self) -> tuple[str, ...]:
        """One line of the table."""
        now, last = self.now, self.last
        since = last.since if last and _same(now, last) else None
        return (
            f"{now.account} {now.version}",
            now.registered_url or ("nothing" if now.ours is False else "unknown"),
            {True: "yes", False: "no", None: "?"}[now.ours],
            _short(since),
            f"{_short(last.tick)} {last.result}" if last else "-",
            _result(self),
        )


@dataclass(frozen=True)
class Report:
    """All that `status` knows."""

    rows: tuple[Row, ...]
    roll: Roll | None
    record: LoginRecord
    stored: bool

    @property
    def as_desired(self) -> bool:
        """Whether the exit status is 0."""
        return bool(self.rows) and all(row.as_desired for row in self.rows)

    def to_json(self) -> str:
        """For programs."""
        members = self.roll.members if self.roll else ()
        return json.dumps(
            {
                "as_desired": self.as_desired,
                "source": "stored" if self.stored else "thingspace",
                "registrations": [row.data() for row in self.rows],
                "redis": self.roll is not None,
                "members": [
                    {
                        "name": member.card.name,
                        "deployment": member.card.deployment,
                        "joined": _time_of(member.joined_ms),
                        "lease_expires_in_s": member.expires_in_s,
                    }
                    for member in members
                ],
                "breaker": {
                    "open": self.record.open,
                    "refused": self.record.refused,
                    "unanswered": self.record.unanswered,
                    "pending": len(self.record.pending),
                },
            },
            indent=2,
        )

    def show(self, console: Console) -> None:
        """For people."""
        table = Table("account", "registered", "ours", "since", "last tick", "result")
        for column in table.columns:
            column.overflow = "fold"
        for row in self.rows:
            table.add_row(*map(_plain, row.cells()))
        console.print(table)
        for line in (*self._failures(), self._members(), self._token(), self._breaker()):
            console.print(_plain(line), soft_wrap=True)

    def _failures(self) -> list[str]:
        """What went wrong, each once: a failed login concerns every row."""
        failed = [row.now for row in self.rows if row.now.detail]
        return list(dict.fromkeys(f"{one.reason}: {one.detail}" for one in failed))

    def _members(self) -> str:
        if self.roll is None:
            return "members: unknown, Redis cannot be reached"
        return "members: " + (", ".join(self.roll.names) or "none")

    def _token(self) -> str:
        ages = [row.last.token_age_s for row in self.rows if row.last]
        known = [age for age in ages if age is not None]
        return (
            f"oauth token: {max(known):.0f} s old at the last tick" if known else "oauth token: -"
        )

    def _breaker(self) -> str:
        known = self.record
        if known.open:
            return f"login breaker: OPEN, no login is tried. {known.advice}"
        counts = f"{known.refused} refused, {known.unanswered} unanswered, {len(known.pending)} under way"
        return f"login breaker: closed ({counts})"


def _plain(text: str) -> Text:
    """A text that is no markup to the table and no command to the terminal.

    What the last tick stored comes from Redis, to which others can write: a web worker that was broken into, for one.
    """
    return Text(printable(text))


def _same(now: Observation, last: Observation) -> bool:
    return (now.ours, now.registered_url) == (last.ours, last.registered_url)


def _result(row: Row) -> str:
    flapping = row.last is not None and row.last.reason == "flapping"
    fight = f"flapping with {row.last.contender} " if flapping and row.last else ""
    return f"{'ok' if row.as_desired else 'NOT AS DESIRED'} {fight}{row.reason}"


def _short(moment: str | None) -> str:
    return moment[:19].replace("T", " ") if moment else "-"


def _time_of(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="seconds")
