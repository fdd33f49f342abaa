"""What the text of a message says: about which upgrades it is, and which devices it names."""

import json
from typing import Any

import pytest

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


def test_message_of_a_known_kind_is_about_its_subject_and_names_devices() -> None:
    data = {"upgradeFinished": {"upgradeId": UPGRADE, "deviceId": IMEI, "status": "UpgradeSuccess"}}
    facts = facts_of("5-0", entry(data, kind="upgrade-finished", subject=UPGRADE.upper()))
    assert facts == [Fact(ACCOUNT, UPGRADE, "upgrade-finished", "5-0", frozenset({IMEI}))]


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


def test_devices_belong_to_the_subject_and_to_no_other_id_in_the_text() -> None:
    data = {"campaignId": OTHER, "deviceList": [{"deviceId": IMEI}, {"deviceId": 10013907835573}]}
    facts = {
        fact.upgrade_id: fact.devices for fact in facts_of("5-0", entry(data, subject=UPGRADE))
    }
    assert facts == {UPGRADE: {IMEI, "10013907835573"}, OTHER: frozenset()}


def test_devices_of_a_message_about_several_upgrades_belong_to_none() -> None:
    facts = facts_of("5-0", entry({"ids": [UPGRADE, OTHER], "deviceId": IMEI}))
    assert [fact.devices for fact in facts] == [frozenset(), frozenset()]


def test_digits_that_are_no_whole_value_are_no_device() -> None:
    data = {"campaignId": UPGRADE, "note": f"IMEI {IMEI} failed", "iccid": "8914800000080013970"}
    assert facts_of("5-0", entry(data))[0].devices == frozenset()


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
        ("Something else", {"unknown"}),
    ],
)
def test_message_of_an_unknown_form_stands_for_the_state_that_it_names(
    status: str, kinds: set[str]
) -> None:
    data = {"campaignId": UPGRADE, "deviceId": IMEI, "status": status}
    facts = facts_of("5-0", entry(data))
    assert {fact.kind for fact in facts} == kinds
    assert all(fact.devices == {IMEI} for fact in facts)


def test_states_say_nothing_where_the_kind_is_known() -> None:
    data = {"upgradeScheduled": {"upgradeId": UPGRADE, "status": "UpgradeSuccess"}}
    facts = facts_of("5-0", entry(data, kind="upgrade-scheduled", subject=UPGRADE))
    assert {fact.kind for fact in facts} == {"upgrade-scheduled"}
