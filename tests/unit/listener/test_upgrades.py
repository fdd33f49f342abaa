"""How upgrades are doing, told from messages in any order and of any form."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.upgrades import track_upgrades

CONTAINERS = {
    "upgrade-scheduled": "upgradeScheduled",
    "upgrade-started": "upgradeProgress",
    "upgrade-finished": "upgradeFinished",
}


def entry(second: int, kind: str, upgrade: str = "u1", **members: Any) -> StreamEntry:
    data = {CONTAINERS[kind]: {"upgradeId": upgrade, **members}}
    fields = {
        "kind": kind,
        "subject": upgrade,
        "account": "a",
        "time": f"2026-11-23T08:00:{second:02}.000000Z",
        "data": json.dumps(data),
    }
    return StreamEntry(f"{second}-0", fields)


def device(name: str, status: str = "Device Accepted") -> dict[str, str]:
    return {"deviceId": name, "status": status}


CAMPAIGN = [
    entry(
        0,
        "upgrade-scheduled",
        deviceList=[device("1"), device("2"), device("3", "Device Rejected")],
    ),
    entry(1, "upgrade-started", deviceId="1", firmwareName="F"),
    entry(2, "upgrade-started", deviceId="2"),
    entry(3, "upgrade-finished", deviceId="1", status="UpgradeSuccess"),
    entry(4, "upgrade-finished", deviceId="2", status="UpgradeFailed"),
]


def recovered(second: int, kind: str, **report: Any) -> StreamEntry:
    about = {"version": "v1", "call": "GET /fota/v1/…", "status": "Finished"}
    data = {"accountName": "a", "recovered": about, "report": report}
    fields = {**entry(second, kind).fields, "origin": "recovered", "data": json.dumps(data)}
    return StreamEntry(f"{second}-0", fields)


def test_recovered_message_about_a_device_is_where_nothing_came() -> None:
    finished = recovered(9, "upgrade-finished", deviceId="1", status="UpgradeSuccess")
    [upgrade] = track_upgrades([*CAMPAIGN[:3], finished])
    assert upgrade.devices == {"1": "succeeded", "2": "started"}
    assert upgrade.last_entries["1"] == finished


def test_report_on_a_whole_upgrade_says_how_each_device_ended_and_leaves_out_rejected_ones() -> (
    None
):
    devices = [device("1", "UpgradeSuccess"), device("2", "UpgradeFailed")]
    rejected = device("3", "Device Rejected")
    finished = recovered(9, "upgrade-finished", id="u1", deviceList=[*devices, rejected])
    [upgrade] = track_upgrades([*CAMPAIGN[:3], finished])
    assert upgrade.devices == {"1": "succeeded", "2": "failed"}
    assert upgrade.rejected == {"3"}


def test_message_that_thingspace_sent_counts_before_a_recovered_one() -> None:
    late = [
        recovered(9, "upgrade-finished", deviceId="2", status="UpgradeSuccess"),
        recovered(9, "upgrade-started", deviceId="1", status="UpgradeSuccess"),
        recovered(9, "upgrade-started", id="u1", deviceList=[device("1"), device("2")]),
        recovered(9, "upgrade-scheduled", id="u1", deviceList=[device("1"), device("2")]),
    ]
    for order in (late, late[::-1]):
        [upgrade] = track_upgrades([*order, *CAMPAIGN])
        assert upgrade.devices == {"1": "succeeded", "2": "failed"}
        assert upgrade.rejected == {"3"}


def test_report_without_devices_gives_the_stage_of_an_upgrade_of_which_nothing_came() -> None:
    [upgrade] = track_upgrades([recovered(9, "upgrade-started", id="u1", status="InProgress")])
    assert upgrade.stage == "started"
    [upgrade] = track_upgrades([recovered(9, "upgrade-finished", id="u1", status="Finished")])
    assert upgrade.stage == "finished"


@pytest.mark.parametrize(
    ("seen", "stage", "over"),
    [
        (1, "scheduled", 0),
        (2, "started", 0),
        (3, "started", 0),
        (4, "started", 1),
        (5, "some failed", 2),
    ],
)
def test_each_device_is_where_its_last_message_says(seen: int, stage: str, over: int) -> None:
    [upgrade] = track_upgrades(CAMPAIGN[:seen])
    assert (upgrade.stage, upgrade.ended, len(upgrade.devices)) == (stage, over, 2)
    assert upgrade.rejected == {"3"}
    assert (upgrade.account, upgrade.last) == ("a", CAMPAIGN[seen - 1].fields["time"])


@given(st.randoms(use_true_random=False))
def test_the_order_of_reading_does_not_matter(chance: random.Random) -> None:
    shuffled = [*CAMPAIGN, *CAMPAIGN[:2]]
    chance.shuffle(shuffled)
    assert track_upgrades(shuffled) == track_upgrades(CAMPAIGN)


def test_a_device_that_begins_again_is_started_again_and_a_late_schedule_undoes_nothing() -> None:
    again = entry(5, "upgrade-started", deviceId="2")
    late = entry(6, "upgrade-scheduled", deviceList=[device("1")])
    [upgrade] = track_upgrades([*CAMPAIGN, again, late])
    assert upgrade.devices == {"1": "succeeded", "2": "started"}
    assert upgrade.stage == "started"


def test_an_upgrade_whose_beginning_was_not_read_is_not_called_finished() -> None:
    [cut] = track_upgrades(CAMPAIGN[3:], complete=False)
    assert (cut.complete, cut.stage) == (False, "partly seen")
    assert track_upgrades(CAMPAIGN[3:])[0].stage == "some failed"
    [begun] = track_upgrades(CAMPAIGN, complete=False)
    assert (begun.complete, begun.stage) == (True, "some failed")


@pytest.mark.parametrize("number", [0, 1, 4])
def test_an_upgrade_with_a_message_too_large_to_look_into_is_not_called_finished(
    number: int,
) -> None:
    whole = CAMPAIGN[number]
    without_data = {name: text for name, text in whole.fields.items() if name != "data"}
    begun = {**whole.fields, "data": whole.fields["data"][:20]}
    for fields in (begun, without_data):
        large = StreamEntry(whole.entry_id, fields, cut={"data": 200_000})
        [upgrade] = track_upgrades([*CAMPAIGN[:number], large, *CAMPAIGN[number + 1 :]])
        assert (upgrade.complete, upgrade.too_large, upgrade.stage) == (False, 1, "partly seen")


def test_a_large_message_alone_says_how_far_its_upgrade_is_but_not_that_it_has_ended() -> None:
    stages = {
        each.fields["kind"]: track_upgrades(
            [StreamEntry("1-0", each.fields, cut={"data": 200_000})]
        )[0].stage
        for each in (CAMPAIGN[0], CAMPAIGN[1], CAMPAIGN[3])
    }
    assert stages == {
        "upgrade-scheduled": "scheduled",
        "upgrade-started": "started",
        "upgrade-finished": "partly seen",
    }


def test_an_upgrade_of_which_no_device_succeeded_has_failed() -> None:
    assert track_upgrades([CAMPAIGN[4]])[0].stage == "failed"


def test_the_upgrade_with_the_newest_message_stands_first() -> None:
    other = entry(9, "upgrade-started", "u2", deviceId="9")
    assert [upgrade.id for upgrade in track_upgrades([other, *CAMPAIGN])] == ["u2", "u1"]


def test_messages_that_name_no_device_still_tell_the_stage() -> None:
    assert track_upgrades([entry(1, "upgrade-started")])[0].stage == "started"
    assert (
        track_upgrades([entry(1, "upgrade-finished", status="UpgradeFailed")])[0].stage == "failed"
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from([*CONTAINERS, "unknown", "firmware-available"]),
    container=json_values
    | st.fixed_dictionaries(
        {"deviceId": json_values, "deviceList": json_values, "status": json_values}
    ),
)
def test_nothing_that_a_message_holds_raises(kind: str, container: Any) -> None:
    data = json.dumps({CONTAINERS.get(kind, "x"): container})
    for text in (data, "no json", "[]"):
        fields = {"kind": kind, "subject": "u", "time": "t", "data": text}
        for upgrade in track_upgrades([StreamEntry("1-0", fields)]):
            assert isinstance(upgrade.stage, str)
