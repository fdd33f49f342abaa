"""The top of the status page: one sentence on all of it, and one tile for each thing that matters. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from listener.diagnostics.finding import Finding
from listener.ops.status_page.chart import Chart
from listener.ops.status_page.snapshot import Overview
from listener.text import truncate

Level = Literal["ok", "warning", "error", "plain"]

UNKNOWN = "unknown"
NO_REDIS = "no Redis"
# A tile is narrow.
LONGEST = 20


@dataclass(frozen=True)
class Tile:
    """One thing: its name, how it is, what the figure is about, and the place on the page that tells more."""

    name: str
    value: str
    about: str
    place: str
    level: Level = "plain"


def verdict(seen: Overview) -> tuple[Level, str]:
    """One sentence on all of it, and how bad it is."""
    errors = [finding for finding in seen.problems if finding.level == "error"]
    if errors and not seen.kept.by:
        return "error", "No message can be kept"
    if any(finding.topic != "redis" for finding in errors):
        return "error", "Messages may be lost"
    if errors:
        return "error", "Messages are kept; act before they are not"
    if seen.problems:
        return "warning", "Messages are kept; something needs a look"
    return "ok", "All is well"


def tiles(seen: Overview, chart: Chart) -> list[Tile]:
    """What an operator asks first, in this order; `unknown` where Redis does not tell."""
    return [
        _registered(seen),
        _kept(seen),
        _spool(seen),
        *(_in_redis(seen, chart) if seen.redis else _untold()),
    ]


def _in_redis(seen: Overview, chart: Chart) -> Iterator[Tile]:
    yield Tile("Last minute", f"{chart.last_minute:,}", f"busiest {chart.peak:,}", "arrivals")
    yield _upgrades(seen)
    yield _unread(seen)
    yield Tile("Dead", f"{seen.dead:,}", "given up on", "dead", _worst(seen, "dead letters"))
    level = _worst(seen, "quarantine")
    yield Tile("Quarantine", f"{seen.refused:,}", "refused, kept", "quarantine", level)


def _untold() -> Iterator[Tile]:
    for name in ("Last minute", "Upgrades", "Unread", "Dead", "Quarantine"):
        place = {"Last minute": "arrivals", "Unread": "groups"}.get(name, name.lower())
        yield Tile(name, UNKNOWN, NO_REDIS, place)


def _registered(seen: Overview) -> Tile:
    """As bad as the worst of the accounts."""
    name, place, slots = "Registration", "registration", seen.registrations
    if not slots:
        return Tile(name, UNKNOWN, NO_REDIS if not seen.redis else "no registrar", place, "warning")
    ours = sum(one.ours is True for one in slots)
    about = f"{ours} of {len(slots)}"
    lost = [one for one in slots if one.ours is False]
    if any(not one.deregistered_on_purpose for one in lost):
        return Tile(name, "not ours", about, place, "error")
    if lost:
        return Tile(name, "removed", about, place, "warning")
    if ours < len(slots):
        return Tile(name, UNKNOWN, about, place, "warning")
    if any(one.is_stale(seen.now) for one in slots):
        return Tile(name, "ours before", f"{about}, not looked at lately", place, "warning")
    return Tile(name, "ours", about, place, "ok")


def _kept(seen: Overview) -> Tile:
    name, place = "Messages go to", "keeping"
    if seen.kept.by == "redis":
        return Tile(name, "Redis", f"{seen.messages:,} in the queue", place, "ok")
    if seen.kept.by == "spool":
        return Tile(name, "the spool", "not to Redis", place, "warning")
    return Tile(name, "nowhere", "answered 503", place, "error")


def _spool(seen: Overview) -> Tile:
    level = _worst(seen, "spool")
    if seen.spool is None:
        return Tile(
            "Spool", "none" if level != "error" else UNKNOWN, "on this host", "spool", level
        )
    aside = seen.spool.set_aside
    about = f"wait, {aside:,} set aside" if aside else "wait on this host"
    return Tile("Spool", f"{seen.spool.messages:,}", about, "spool", level)


def _upgrades(seen: Overview) -> Tile:
    """Of one that was read in part only it is not known whether it is over."""
    under_way = sum(one.complete and one.stage in {"scheduled", "started"} for one in seen.upgrades)
    partly = sum(not one.complete for one in seen.upgrades)
    about = f"{under_way} under way" + (f", {partly} partly seen" if partly else "")
    return Tile("Upgrades", f"{len(seen.upgrades)}", about, "upgrades")


def _unread(seen: Overview) -> Tile:
    """The group that is furthest behind, over all its partitions."""
    lags: dict[str, int] = defaultdict(int)
    exact: dict[str, bool] = defaultdict(lambda: True)
    for group in seen.groups:
        lags[group.name] += group.lag.entries
        exact[group.name] &= group.lag.exact
    if not lags:
        return Tile("Unread", "all", "nobody reads", "groups", "warning")
    last = max(lags, key=lambda name: lags[name])
    value = f"{lags[last]:,}{'' if exact[last] else '+'}"
    level = _worst(seen, *(f"group {name}" for name in lags))
    return Tile("Unread", value, f"by {truncate(last, LONGEST)}", "groups", level)


def _worst(seen: Overview, *topics: str) -> Level:
    found: list[Finding] = [one for one in seen.problems if one.topic in topics]
    return found[0].level if found else "plain"
