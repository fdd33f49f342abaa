"""What the text of a message says: about which upgrades it is, and about which device."""

import json
from typing import Any

import pytest

from listener.recovered.devices import EVERY_DEVICE, those_named
from listener.recovered.facts import MAX_UPGRADES, Fact, TooManyUpgradesError, facts_of

UPGRADE = "252d7ffc-7e35-11ec-931e-76f56843c393"
OTHER = "60b5d639-ccdc-4db8-8824-069bd94c95bf"
IMEI = "990013907835573"
ACCOUNT = "0242078689-00001"


def entry(data: Any, **fields: str) -> dict[str, str]:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return {"kind": "unknown", "account": ACCOUNT, "data": text, **fields}


def upgrades(data: Any, **fields: str) -> set[str]:
    return {fact.upgrade_id for fact in facts_of("5-0", entry(data, **fields))}


def test_message_of_a_known_kind_is_about_its_subject_and_its_device() -> None:
    data = {"upgradeFinished": {"upgradeId": UPGRADE, "deviceId": IMEI, "status": "UpgradeSuccess"}}
    facts = facts_of("5-0", entry(data, kind="upgrade-finished", subject=UPGRADE.upper()))
    assert facts == [Fact(ACCOUNT, UPGRADE, "upgrade-finished", "5-0", IMEI)]


@pytest.mark.parametrize(
    "data",
    [
        {"campaignId": UPGRADE},
        {"campaign": {"id": UPGRADE.upper(), "status": "CampaignEnded"}},
        {"notification": [{"reference": UPGRADE}]},
        {"text": f"the campaign {UPGRADE} has ended"},
        {UPGRADE: {"status": "CampaignEnded"}},
        {"body": json.dumps({"id": UPGRADE})},
    ],
)
def test_uuid_anywhere_in_the_text_of_an_unknown_message_is_an_upgrade(data: Any) -> None:
    assert upgrades(data) == {UPGRADE}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"campaignId": "c-17"}, {"c-17"}),
        ({"ID": "C-17"}, {"c-17"}),
        ({"campaign_id": 4711}, {"4711"}),
        ({"upgradeId": "c-17"}, {"c-17"}),
        ({"deviceUpgradeId": "c-17"}, {"c-17"}),
        ({"eid": "c-17"}, set()),
        ({"deviceId": IMEI}, set()),
        ({"list": [{"DeviceID": IMEI}]}, set()),
        ({"iccid": "89148000000800139708"}, set()),
        ({"id": None}, set()),
        ({"id": ""}, set()),
        ({"id": {"a": "b"}}, set()),
        ({"status": "c-17"}, set()),
        ({"hash": UPGRADE + "0"}, set()),
    ],
)
def test_id_of_another_form_counts_in_a_member_that_is_named_like_one(
    data: Any, found: set[str]
) -> None:
    assert upgrades(data) == found


def test_subject_counts_without_a_member_and_whatever_its_form() -> None:
    assert upgrades({}, subject=" Upgrade 7 ") == {"upgrade 7"}


def test_message_with_a_subject_is_about_that_and_what_is_named_like_it_alone() -> None:
    data = {
        "transactionId": OTHER,
        "messageId": "m-1",
        "upgradeFinished": {"upgradeId": UPGRADE, "valid": "yes", "campaignId": "c-17"},
        "campaign": {"id": "c-18"},
    }
    facts = facts_of("5-0", entry(data, kind="upgrade-finished", subject=UPGRADE))
    assert {fact.upgrade_id for fact in facts} == {UPGRADE, "c-17", "c-18"}
    assert not any(fact.is_guess for fact in facts)
    assert all(fact.is_guess for fact in facts_of("5-0", entry(data)))


def test_message_about_several_upgrades_may_be_about_every_device_of_each() -> None:
    facts = facts_of("5-0", entry({"ids": [UPGRADE, OTHER], "deviceId": IMEI}))
    assert [fact.device for fact in facts] == [EVERY_DEVICE, EVERY_DEVICE]


@pytest.mark.parametrize(
    ("content", "device"),
    [
        ({"deviceId": IMEI}, IMEI),
        ({"IMEI": 13907835573123}, "13907835573123"),
        ({"list": [1], "device": {"device_id": IMEI}}, IMEI),
        ({"time": 20220125031845}, EVERY_DEVICE),
        ({"reference": IMEI}, EVERY_DEVICE),
        ({"note": f"IMEI {IMEI} failed", "iccid": "8914800000080013970"}, EVERY_DEVICE),
        ({"deviceId": "A100000123456B"}, EVERY_DEVICE),
        ({"deviceId": {"kind": "imei", "id": IMEI}}, EVERY_DEVICE),
        ({"deviceId": IMEI, "device": {"deviceId": None}}, EVERY_DEVICE),
        # The upgrade has a hundred, of which this one failed.
        ({"deviceList": [{"deviceId": IMEI, "status": "UpgradeFailed"}]}, EVERY_DEVICE),
        ({"devices": [IMEI]}, EVERY_DEVICE),
        ({"deviceList": [{"deviceId": IMEI}, {"deviceId": "990013907835574"}]}, EVERY_DEVICE),
    ],
)
def test_message_is_about_one_device_only_if_it_names_one_outside_a_list(
    content: Any, device: str
) -> None:
    data = {"upgradeFinished": {"upgradeId": UPGRADE, **content}}
    facts = facts_of("5-0", entry(data, kind="upgrade-finished", subject=UPGRADE))
    assert [fact.device for fact in facts if fact.upgrade_id == UPGRADE] == [device]


@pytest.mark.parametrize(
    "named",
    ["013907835573123", "13907835573123", "01390783557312", "0139078355731201"],
)
def test_device_is_the_same_however_its_imei_is_written(named: str) -> None:
    assert those_named({"013907835573123", "990013907835573"}, {named}) == {"013907835573123"}


def test_devices_with_other_digits_are_others() -> None:
    assert not those_named({IMEI, "A100000123456B"}, {IMEI[:-1] + "4", EVERY_DEVICE})
    assert those_named({"A100000123456B"}, {"A100000123456B"})


def test_kind_that_this_version_does_not_know_counts_as_unknown() -> None:
    assert facts_of("5-0", entry({}, kind="upgrade-paused", subject="u"))[0].kind == "unknown"


def test_test_message_is_about_nothing() -> None:
    fields = entry({"testId": UPGRADE}, type="com.verizon.thingspace.fota.listenerTest")
    assert facts_of("5-0", fields) == []


def test_recovered_message_is_about_its_subject_alone_and_names_its_device() -> None:
    data = {"recovered": {"deviceId": IMEI}, "report": {"id": OTHER, "deviceId": IMEI}}
    facts = facts_of(
        "5-0", entry(data, kind="upgrade-finished", subject=UPGRADE, origin="recovered")
    )
    assert facts == [Fact(ACCOUNT, UPGRADE, "upgrade-finished", "5-0", recovered_device=IMEI)]


@pytest.mark.parametrize(
    "data", ["no object", {"recovered": 1}, {"recovered": {"deviceId": 7}}, {}]
)
def test_recovered_message_without_a_device_is_about_the_whole_upgrade(data: Any) -> None:
    facts = facts_of("5-0", entry(data, subject=UPGRADE, origin="recovered"))
    assert [fact.recovered_device for fact in facts] == [""]


@pytest.mark.parametrize("fields", [{}, {"data": "\\xff{["}, {"data": "7", "kind": "unknown"}])
def test_entry_that_somebody_else_wrote_says_nothing(fields: dict[str, str]) -> None:
    assert facts_of("5-0", fields) == []


def test_message_with_more_ids_than_are_read_is_reported() -> None:
    ids = [f"{number:08x}-7e35-11ec-931e-76f56843c393" for number in range(MAX_UPGRADES + 1)]
    assert len(facts_of("5-0", entry(ids[:-1]))) == MAX_UPGRADES
    with pytest.raises(TooManyUpgradesError):
        facts_of("5-0", entry(ids))


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        ("CampaignScheduled", {"upgrade-scheduled"}),
        ("UpgradeScheduled", {"upgrade-started"}),
        ("InProgress", {"upgrade-started"}),
        ("CampaignEnded", {"upgrade-finished"}),
        ("UpgradeSuccess", {"upgrade-finished"}),
        ("UpgradedFailed", {"upgrade-finished"}),
        ("UpgradeFail", {"upgrade-finished"}),
        ("Something else", set()),
    ],
)
def test_message_of_an_unknown_form_stands_also_for_the_state_that_it_names(
    status: str, kinds: set[str]
) -> None:
    data = {"campaignId": UPGRADE, "deviceId": IMEI, "status": status}
    facts = facts_of("5-0", entry(data))
    # What it really was stays unknown.
    assert {fact.kind for fact in facts} == kinds | {"unknown"}
    assert all(fact.device == IMEI for fact in facts)


def test_states_say_nothing_where_the_kind_is_known() -> None:
    data = {"upgradeScheduled": {"upgradeId": UPGRADE, "status": "UpgradeSuccess"}}
    facts = facts_of("5-0", entry(data, kind="upgrade-scheduled", subject=UPGRADE))
    assert {fact.kind for fact in facts} == {"upgrade-scheduled"}
