"""Decides the status page's headline, by the checks' findings, and its tiles, one for each important figure. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from listener.diagnostics.finding import Finding, Level
from listener.ops.status_page.chart import Chart
from listener.ops.status_page.snapshot import Snapshot
from listener.text import truncate

TileLevel = Level | Literal["plain"]

UNKNOWN = "unknown"
NO_REDIS = "no Redis"
# A tile is narrow.
MAX_GROUP_LENGTH = 20


@dataclass(frozen=True)
class Tile:
    """One figure.

    Attributes:
        name: what it is about.
        value: the figure.
        caption: what explains it.
        anchor: the id of the element on the page with the details.
        level: how bad it is.
    """

    name: str
    value: str
    caption: str
    anchor: str
    level: TileLevel = "plain"


@dataclass(frozen=True)
class Fact:
    """What the checks found about one thing that keeps messages: the sentence that matters most, and the others.

    Attributes:
        finding: a problem if there is one; None: nothing was found.
        more: what else there is.
    """

    topic: str
    finding: Finding | None
    more: Sequence[Finding]


def headline(snapshot: Snapshot) -> tuple[Level, str]:
    """The state of the whole service in one sentence, and how bad it is."""
    errors = [finding for finding in snapshot.problems if finding.level == "error"]
    if errors and not snapshot.destination.stored_in:
        return "error", "No message can be kept"
    if any(finding.topic != "redis" for finding in errors):
        return "error", "Messages may be lost"
    if errors:
        return "error", "Messages are kept; act before they are not"
    if snapshot.problems:
        return "warning", "Messages are kept; something needs a look"
    return "ok", "All is well"


def tiles(snapshot: Snapshot, chart: Chart) -> list[Tile]:
    """The tiles in the order of an operator's questions; `unknown` where only Redis has the figure and is down."""
    return [
        _registration_tile(snapshot),
        _destination_tile(snapshot),
        _spool_tile(snapshot),
        *(_redis_tiles(snapshot, chart) if snapshot.redis_up else _unknown_tiles()),
    ]


# The sections of the page, and what the checks' topics in each are. One whose topic is `group` has all groups'.
SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("registration", ("registration",)),
    ("keeping", ("redis", "spool")),
    ("arrivals", ()),
    ("upgrades", ()),
    ("recovery", ("recovery",)),
    ("groups", ("group", "dead letters")),
    ("quarantine", ("quarantine",)),
    ("newest", ()),
)
_RANKS: tuple[TileLevel, ...] = ("error", "warning", "ok", "plain")


def sections(snapshot: Snapshot) -> list[str]:
    """The sections of the page: those with an error first, then those with a warning, then the others."""

    def rank(topics: tuple[str, ...]) -> int:
        groups = (f"group {group.name}" for group in snapshot.groups) if "group" in topics else ()
        level = worst_level(snapshot, *topics, *groups)
        return min(_RANKS.index(level), _RANKS.index("ok"))

    return [name for name, topics in sorted(SECTIONS, key=lambda section: rank(section[1]))]


def worst_level(snapshot: Snapshot, *topics: str) -> TileLevel:
    """The level of the worst problem of these topics; `plain` if they have none."""
    levels = [finding.level for finding in snapshot.problems if finding.topic in topics]
    return levels[0] if levels else "plain"


def facts(snapshot: Snapshot) -> list[Fact]:
    """What there is to say of Redis and of the spool. Redis's first finding is that it answers, the spool's last is what waits."""
    return [
        _fact("redis", [finding for finding in snapshot.findings if finding.topic == "redis"]),
        _fact(
            "spool", [finding for finding in snapshot.findings if finding.topic == "spool"][::-1]
        ),
    ]


def _fact(topic: str, findings: list[Finding]) -> Fact:
    """Args: the findings, the one that matters most first if all are well."""
    ordered = sorted(findings, key=lambda finding: _RANKS.index(finding.level))
    return Fact(topic, ordered[0] if ordered else None, ordered[1:])


def _redis_tiles(snapshot: Snapshot, chart: Chart) -> Iterator[Tile]:
    yield Tile("Last minute", f"{chart.last_minute:,}", f"busiest {chart.peak:,}", "arrivals")
    yield _upgrades_tile(snapshot)
    yield _unread_tile(snapshot)
    level = worst_level(snapshot, "dead letters")
    yield Tile("Dead", f"{snapshot.dead_letters:,}", "given up on", "dead", level)
    level = worst_level(snapshot, "quarantine")
    length = f"{snapshot.quarantine_length:,}"
    yield Tile("Quarantine", length, "refused, kept", "quarantine", level)


def _unknown_tiles() -> Iterator[Tile]:
    for name in ("Last minute", "Upgrades", "Unread", "Dead", "Quarantine"):
        anchor = {"Last minute": "arrivals", "Unread": "groups"}.get(name, name.lower())
        yield Tile(name, UNKNOWN, NO_REDIS, anchor)


def _registration_tile(snapshot: Snapshot) -> Tile:
    """As bad as the worst of the registrations."""

    def tile(value: str, caption: str, level: TileLevel) -> Tile:
        return Tile("Registration", value, caption, "registration", level)

    registrations = snapshot.registrations
    if not registrations:
        return tile(UNKNOWN, "no registrar" if snapshot.redis_up else NO_REDIS, "warning")
    ours = sum(registration.ours is True for registration in registrations)
    caption = f"{ours} of {len(registrations)}"
    lost = [registration for registration in registrations if registration.ours is False]
    if any(not registration.deregistered_on_purpose for registration in lost):
        return tile("not ours", caption, "error")
    if lost:
        return tile("removed", caption, "warning")
    if ours < len(registrations):
        return tile(UNKNOWN, caption, "warning")
    if any(registration.is_stale(snapshot.now) for registration in registrations):
        return tile("ours before", f"{caption}, not looked at lately", "warning")
    return tile("ours", caption, "ok")


def _destination_tile(snapshot: Snapshot) -> Tile:
    name, anchor = "Messages go to", "keeping"
    if snapshot.destination.stored_in == "redis":
        return Tile(name, "Redis", f"{snapshot.queue_length:,} in the queue", anchor, "ok")
    if snapshot.destination.stored_in == "spool":
        return Tile(name, "the spool", "not to Redis", anchor, "warning")
    return Tile(name, "nowhere", "answered 503", anchor, "error")


def _spool_tile(snapshot: Snapshot) -> Tile:
    level = worst_level(snapshot, "spool")
    if snapshot.spool is None:
        value = UNKNOWN if level == "error" else "none"
        return Tile("Spool", value, "on this host", "spool", level)
    set_aside = snapshot.spool.set_aside
    caption = f"wait, {set_aside:,} set aside" if set_aside else "wait on this host"
    return Tile("Spool", f"{snapshot.spool.messages:,}", caption, "spool", level)


def _upgrades_tile(snapshot: Snapshot) -> Tile:
    """An upgrade whose messages were not all read may be over or not, so it is counted apart."""
    complete = [upgrade for upgrade in snapshot.upgrades if upgrade.complete]
    under_way = sum(upgrade.stage in {"scheduled", "started"} for upgrade in complete)
    partly = len(snapshot.upgrades) - len(complete)
    caption = f"{under_way} under way" + (f", {partly} partly seen" if partly else "")
    return Tile("Upgrades", f"{len(snapshot.upgrades)}", caption, "upgrades")


def _unread_tile(snapshot: Snapshot) -> Tile:
    """The group with the greatest lag, over all its partitions."""
    lags: dict[str, int] = defaultdict(int)
    exact: dict[str, bool] = defaultdict(lambda: True)
    for group in snapshot.groups:
        lags[group.name] += group.lag.entries
        exact[group.name] &= group.lag.exact
    if not lags:
        return Tile("Unread", "all", "nobody reads", "groups", "warning")
    last = max(lags, key=lambda name: lags[name])
    value = f"{lags[last]:,}{'' if exact[last] else '+'}"
    level = worst_level(snapshot, *(f"group {name}" for name in lags))
    return Tile("Unread", value, f"by {truncate(last, MAX_GROUP_LENGTH)}", "groups", level)
