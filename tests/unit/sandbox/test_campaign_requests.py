"""`POST /sandbox/campaigns`: what a request makes, by its seed, and what it refuses."""

import random
import uuid
from collections import Counter
from typing import Any

import pytest

from sandbox.campaigns.devices import DeviceRange, merged_after, position_after, position_of
from sandbox.campaigns.requests import chosen, new_id
from tests.support.sandbox_caller import Caller


@pytest.fixture
def caller() -> Caller:
    return Caller().authorize()


def statuses(caller: Caller, **wanted: Any) -> list[str]:
    (upgrade_id,) = caller.ids(caller.campaigns(states={"Finished": 1}, **wanted))
    devices = caller.read("v1", f"/upgrades/A/upgrade/{upgrade_id}")["deviceList"]
    return [each["status"] for each in devices]


def test_devices_are_spread_evenly_and_follow_each_other(caller: Caller) -> None:
    made = caller.campaigns(devices=11, upgrades=4)
    listed = caller.control("GET", f"/campaigns/{made['number']}/upgrades")["upgrades"]
    assert [each["devices"] for each in listed] == [3, 3, 3, 2]
    assert [each["first_device"][-2:] for each in listed] == ["01", "04", "07", "10"]
    assert caller.campaigns(devices=2)["first_device"] == "990000000000012"
    assert caller.campaigns()["last_device"] == "990000000000014"


def test_the_seed_decides_which_devices_fail() -> None:
    wanted = {"devices": 2000, "failures": 0.3, "rejections": 0.1}
    callers = [Caller().authorize() for _ in range(3)]
    seeds = ("a", "a", "b")
    found = [statuses(each, seed=seed, **wanted) for each, seed in zip(callers, seeds, strict=True)]
    assert found[0] == found[1] != found[2]
    counts = Counter(found[0])
    assert abs(counts["UpgradeFailed"] - 600) < 100
    assert abs(counts["Device Rejected"] - 200) < 70


def test_ids_are_the_same_for_the_same_seed() -> None:
    made = [Caller().authorize() for _ in range(2)]
    ids = [each.ids(each.campaigns(seed="s", devices=9, upgrades=9)) for each in made]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 9
    again = made[0].ids(made[0].campaigns(seed="s", devices=9, upgrades=9))
    assert not set(again) & set(ids[0])


def test_weights_divide_the_upgrades_in_their_order() -> None:
    words = [chosen({"a": 9000, "b": 900, "c": 100}, index, 1000) for index in range(1000)]
    assert words == ["a"] * 900 + ["b"] * 90 + ["c"] * 10
    assert [chosen({"a": 0, "b": 1}, index, 2) for index in range(2)] == ["b", "b"]
    assert chosen({}, 0, 1) is None


def test_an_id_of_v3_holds_the_time_of_its_creation() -> None:
    chance = random.Random(1)
    made = uuid.UUID(new_id("v3", 1_643_152_680.0, chance))
    assert made.version == 1
    assert (made.time - 0x01B21DD213814000) / 1e7 == pytest.approx(1_643_152_680.0)
    assert {uuid.UUID(new_id(version, 0.0, chance)).version for version in ("v1", "v2")} == {4}


def test_a_range_of_devices_behaves_like_a_list() -> None:
    some = DeviceRange(range(9, 13))
    listed = ["000000000000009", "000000000000010", "000000000000011", "000000000000012"]
    assert list(some) == listed
    assert (some[-1], list(some[1:3]), len(some)) == (listed[-1], listed[1:3], 4)
    assert [position_of(some, each) for each in listed] == [0, 1, 2, 3]
    assert position_of(some, "000000000000013") is None
    assert [position_after(some, cursor) for cursor in ("0", "9", "10", "99")] == [0, 1, 2, 4]
    other = ("000000000000010", "000000000000020")
    assert merged_after([some, other], "9", 4) == [*listed[1:], other[1]]


def test_a_big_account_costs_little(caller: Caller) -> None:
    made = caller.campaigns(devices=1_000_000, upgrades=10_000, states={"Finished": 1})
    assert (made["upgrades"], made["devices"]) == (10_000, 1_000_000)
    page = caller.read("v1", "/reports/A/status/Finished/index/9900")
    assert sum(len(each["deviceList"]) for each in page["reportList"]) == 10_000
    history = caller.read("v1", f"/reports/A/devices/{made['last_device']}")
    assert history[0]["id"] == page["reportList"][-1]["id"]


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"version": "v4"}, "version"),
        ({"devices": 0}, "devices"),
        ({"devices": 1_000_001}, "devices"),
        ({"devices": 10, "upgrades": 11}, "upgrades"),
        ({"states": {"CampaignEnded": 1}}, "states"),
        ({"states": {"Finished": 0}}, "states"),
        ({"states": {"Finished": -1}}, "states"),
        ({"version": "v2", "ends": {"CampaignScheduled": 1}}, "ends"),
        ({"lose": 2, "lose_of": 1}, "lose"),
        ({"failures": 0.7, "rejections": 0.7}, "rejections"),
        ({"pace_s": 0}, "pace_s"),
        ({"first_device": "12"}, "first_device"),
        ({"first_device": "9" * 15, "devices": 2}, "first_device"),
        ({"callbacks": "some"}, "callbacks"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_request_says_which_member_is_wrong(
    caller: Caller, wanted: dict[str, Any], field: str
) -> None:
    answer = caller("POST", "/sandbox/campaigns", wanted)
    assert answer.status_code == 400
    assert field in answer.get_json()["fields"]
    assert caller.control("GET", "/campaigns") == {"campaigns": []}


def test_an_account_has_to_be_known(caller: Caller) -> None:
    answer = caller("POST", "/sandbox/campaigns", {"account": "0000000000-00000"})
    assert (answer.status_code, "account" in answer.get_json()["error"]) == (400, True)


def test_everything_can_be_forgotten(caller: Caller) -> None:
    before = caller.campaigns(seed="s", states={"Finished": 1})
    assert caller.control("DELETE", "/campaigns") == {"campaigns": []}
    assert caller.read("v1", "/reports/A/status/Finished/index/0")["reportList"] == []
    assert caller.campaigns(seed="s", states={"Finished": 1}) == before
