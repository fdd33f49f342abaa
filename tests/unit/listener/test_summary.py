"""The top of the status page: what it says is what there is, and never better than that."""

from datetime import UTC, datetime
from typing import Any

import pytest

from listener.diagnostics.finding import Finding, error, ok, warning
from listener.inspection.consumer_groups import EntryCount, GroupStats
from listener.ops.status_page.chart import draw_chart
from listener.ops.status_page.snapshot import Destination, Snapshot
from listener.ops.status_page.summary import Tile, headline, tiles
from listener.ops.status_page.upgrades import Upgrade
from listener.registration_state import Observation
from listener.spool.contents import SpoolStatus

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
IN_REDIS = Destination("redis")
REDIS_FAILS = error("redis", "does not answer", "start it")


def snapshot(
    *findings: Finding, destination: Destination = IN_REDIS, redis_up: bool = True, **more: Any
) -> Snapshot:
    return Snapshot(NOW, findings, destination, redis_up=redis_up, **more)


def tiles_by_name(state: Snapshot) -> dict[str, Tile]:
    chart = draw_chart(state.arrivals, ("a",), int(NOW.timestamp()) // 60)
    return {tile.name: tile for tile in tiles(state, chart)}


def group(name: str, lag: EntryCount, partition: int = 0) -> GroupStats:
    return GroupStats(name, partition, lag, 0, None, None, 1, 0, 0, "0-0")


def slot(*, ours: bool | None, result: str = "as-desired") -> Observation:
    return Observation("a", "v1", "https://x/", ours, NOW.isoformat(), result, result)


@pytest.mark.parametrize(
    ("state", "level", "words"),
    [
        (snapshot(ok("redis", "answers")), "ok", "All is well"),
        (snapshot(warning("group g", "lags", "see")), "warning", "something needs a look"),
        (
            snapshot(REDIS_FAILS, destination=Destination("spool")),
            "error",
            "act before they are not",
        ),
        (
            snapshot(REDIS_FAILS, destination=Destination(None, "full")),
            "error",
            "No message can be kept",
        ),
        (snapshot(REDIS_FAILS, error("registration", "", "")), "error", "may be lost"),
    ],
)
def test_the_headline_follows_the_worst_finding(state: Snapshot, level: str, words: str) -> None:
    found = headline(state)
    assert found[0] == level
    assert words in found[1]


@pytest.mark.parametrize(
    ("slots", "value", "level"),
    [
        ([], "unknown", "warning"),
        ([slot(ours=True), slot(ours=True)], "ours", "ok"),
        ([slot(ours=True), slot(ours=None)], "unknown", "warning"),
        ([slot(ours=True), slot(ours=False)], "not ours", "error"),
        ([slot(ours=False, result="deregistered")], "removed", "warning"),
        ([slot(ours=False, result="deregistered"), slot(ours=False)], "not ours", "error"),
    ],
)
def test_the_registration_is_as_good_as_the_worst_account(
    slots: list[Observation], value: str, level: str
) -> None:
    tile = tiles_by_name(snapshot(registrations=slots))["Registration"]
    assert (tile.value, tile.level) == (value, level)


def test_the_group_that_is_furthest_behind_is_told_over_all_partitions() -> None:
    groups = [
        group("near", EntryCount(9)),
        group("far", EntryCount(5)),
        group("far", EntryCount(6, False), 1),
    ]
    tile = tiles_by_name(snapshot(warning("group far", "lags", "see"), groups=groups))["Unread"]
    assert (tile.value, tile.caption, tile.level) == ("11+", "by far", "warning")


def test_an_upgrade_that_was_read_in_part_is_not_called_over() -> None:
    upgrades = [
        Upgrade("a", stage_without_devices="started"),
        Upgrade("b", complete=False, stage_without_devices="finished"),
    ]
    tile = tiles_by_name(snapshot(upgrades=upgrades))["Upgrades"]
    assert (tile.value, tile.caption) == ("2", "1 under way, 1 partly seen")


def test_without_redis_nothing_is_told_that_only_redis_knows() -> None:
    found = tiles_by_name(
        snapshot(
            REDIS_FAILS,
            destination=Destination("spool"),
            redis_up=False,
            spool=SpoolStatus(messages=1234),
        )
    )
    told = {name for name, tile in found.items() if tile.value != "unknown"}
    assert told == {"Messages go to", "Spool"}
    assert (found["Messages go to"].value, found["Spool"].value) == ("the spool", "1,234")


def test_messages_that_are_set_aside_show_beside_those_that_wait() -> None:
    aside = error("spool", "2 messages set aside", "python -m listener spool list")
    state = snapshot(aside, spool=SpoolStatus(messages=3, set_aside=2))
    tile = tiles_by_name(state)["Spool"]
    assert (tile.value, tile.caption, tile.level) == ("3", "wait, 2 set aside", "error")
    assert headline(state)[0] == "error"


def test_a_spool_that_cannot_be_read_is_not_called_empty() -> None:
    unread = tiles_by_name(snapshot(error("spool", "cannot be read", "mend")))["Spool"]
    assert (unread.value, unread.level) == ("unknown", "error")
    none = tiles_by_name(snapshot(warning("spool", "there is none", "set")))["Spool"]
    assert (none.value, none.level) == ("none", "warning")


def test_each_tile_leads_to_a_place_of_its_own() -> None:
    for state in (snapshot(), snapshot(redis_up=False)):
        anchors = [tile.anchor for tile in tiles_by_name(state).values()]
        assert len(anchors) == len(set(anchors)) == 8
