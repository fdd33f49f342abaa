"""Which entries concern a device or an upgrade."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.inspection.entry_filter import (
    DeviceId,
    EntryFilter,
    concerns_device,
    concerns_upgrade,
    normalized,
)
from listener.inspection.stream_entry import StreamEntry
from listener.messages.message import Message

SAMPLES = Path(__file__).parents[3] / "listener" / "messages" / "samples"
IMEI = "990013907835573"
UPGRADE = "60b5d639-ccdc-4db8-8824-069bd94c95bf"


def fields(payload: Any) -> dict[str, str]:
    message = Message.from_payload(payload, arrived=datetime.now(UTC), request_id="r")
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in message.fields().items()
    }


def sample(name: str) -> dict[str, str]:
    return fields(json.loads((SAMPLES / f"{name}.json").read_text()))


def unknown(**members: Any) -> dict[str, str]:
    return fields({"accountName": "0242078689-00001", **members})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("upgrade-scheduled", True),
        ("upgrade-started", True),
        ("upgrade-finished", True),
        ("unrecognised-v2", True),
        ("firmware-available", False),
    ],
)
def test_sample_of_each_kind_concerns_the_device_that_it_names(name: str, expected: bool) -> None:
    assert concerns_device(sample(name), DeviceId.read(IMEI)) is expected


def test_every_device_of_a_list_is_found_and_no_other() -> None:
    scheduled = sample("upgrade-scheduled")
    assert concerns_device(scheduled, DeviceId.read("990013907884259"))
    assert not concerns_device(scheduled, DeviceId.read("990013907884258"))


@pytest.mark.parametrize(
    "spelling",
    [
        IMEI,
        "99-001390-783557-3",
        " 99 001390 783557 3 ",
        "IMEI: 990013907835573",
        "imei990013907835573".replace("imei", "imei="),
        "deviceId 990013907835573",
        '"990013907835573"',
        "99001390783557",
        "9900139078355701",
        "９９００１３９０７８３５５７３",  # noqa: RUF001 (as pasted from a document of full-width digits)
        "990013907835573\u200b",
        "99\u00a0001390\u00a0783557\u00a03",
    ],
)
def test_device_is_found_by_each_spelling_of_its_id(spelling: str) -> None:
    assert concerns_device(sample("upgrade-finished"), DeviceId.read(spelling))


@pytest.mark.parametrize(
    "other", ["990013907835574", "9900139078355", "90013907835573", "5573", "Verizon"]
)
def test_another_or_a_shorter_id_is_another_device(other: str) -> None:
    assert not concerns_device(sample("upgrade-finished"), DeviceId.read(other))


@pytest.mark.parametrize(
    "members",
    [
        {"device": {"imei": IMEI}},
        {"deviceIds": [{"id": IMEI, "kind": "IMEI"}]},
        {"deviceList": [IMEI, "990013907884259"]},
        {"devices": {IMEI: {"status": "ok"}}},
        {"imei": int(IMEI)},
        {"imei": "99-001390-783557-3"},
        {"list": [[[{"deep": f" {IMEI} "}]]]},
    ],
    ids=str,
)
def test_message_of_an_unknown_form_is_searched_at_every_depth(members: dict[str, Any]) -> None:
    assert concerns_device(unknown(**members), DeviceId.read(IMEI))


def test_number_without_its_leading_zero_is_the_device() -> None:
    assert concerns_device(unknown(imei=13907835573901), DeviceId.read("013907835573901"))


def test_letters_of_an_id_count_in_either_case() -> None:
    assert concerns_device(unknown(meid="A0000012AB3456"), DeviceId.read("MEID a0000012ab3456"))
    assert not concerns_device(unknown(meid="A0000012AB3456"), DeviceId.read("A0000012AB3457"))


def test_account_is_no_device() -> None:
    assert not concerns_device(sample("upgrade-finished"), DeviceId.read("0242078689-00001"))


def test_id_within_a_longer_text_is_not_the_device() -> None:
    assert not concerns_device(unknown(reason=f"see {IMEI}, offline"), DeviceId.read(IMEI))


@pytest.mark.parametrize("value", [True, None, 1.5, {}, [], ""])
def test_value_that_is_no_id_is_passed_over(value: Any) -> None:
    assert not concerns_device(unknown(imei=value), DeviceId.read(IMEI))


@pytest.mark.parametrize("data", ["no JSON", "", "null", "[" * 100_000])
def test_data_that_is_no_message_names_no_device(data: str) -> None:
    assert not concerns_device({"data": data}, DeviceId.read(IMEI))


@pytest.mark.parametrize("text", ["", " ", "--", "\u200b"])
def test_text_without_letters_and_digits_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match="must be a device's id"):
        DeviceId.read(text)


@pytest.mark.parametrize("name", ["upgrade-scheduled", "upgrade-started", "upgrade-finished"])
@pytest.mark.parametrize(
    "spelling",
    [UPGRADE, UPGRADE.upper(), f"{{{UPGRADE}}}", UPGRADE.replace("-", ""), "60b5d639", "60b5d639…"],
)
def test_upgrade_is_found_by_its_id_and_by_its_beginning(name: str, spelling: str) -> None:
    assert concerns_upgrade(sample(name), normalized(spelling))


def test_beginning_is_not_enough_where_the_whole_id_is_wanted() -> None:
    started = sample("upgrade-started")
    assert concerns_upgrade(started, normalized(UPGRADE), whole=True)
    assert not concerns_upgrade(started, normalized(UPGRADE[:-1]), whole=True)


def test_unknown_message_is_found_by_its_campaign_wherever_that_stands() -> None:
    campaign = "252d7ffc-7e35-11ec-931d-76f56843c393"
    assert concerns_upgrade(sample("unrecognised-v2"), normalized(campaign))
    assert concerns_upgrade(sample("unrecognised-v2"), normalized(campaign[:9]))
    assert concerns_upgrade(
        unknown(state={"campaign": [campaign]}), normalized(campaign), whole=True
    )
    assert not concerns_upgrade(sample("unrecognised-v2"), "252d")


def test_known_message_is_found_by_its_subject_alone() -> None:
    assert not concerns_upgrade(sample("upgrade-finished"), normalized(IMEI))
    assert not concerns_upgrade(sample("firmware-available"), normalized("2018-04-01"))


def test_filter_takes_what_passes_every_condition() -> None:
    entry = StreamEntry("1-0", sample("upgrade-finished"))
    device, other = DeviceId.read(IMEI), DeviceId.read("990013907884259")
    whole = EntryFilter(
        ("upgrade-finished",), "0242078689-00001", normalized(UPGRADE), device=device
    )
    assert whole
    assert whole.matches(entry)
    assert not EntryFilter(("upgrade-started",), device=device).matches(entry)
    assert not EntryFilter(account="0242078689-00002", device=device).matches(entry)
    assert not EntryFilter(upgrade="61", device=device).matches(entry)
    assert not EntryFilter(device=other).matches(entry)


def test_filter_without_conditions_takes_everything() -> None:
    assert not EntryFilter()
    assert EntryFilter().matches(StreamEntry("1-0", {}))


def test_filter_reads_the_data_only_where_it_looks_into_it() -> None:
    assert "data" not in EntryFilter(kinds=("unknown",)).fields
    assert "data" in EntryFilter(device=DeviceId.read(IMEI)).fields
    assert "data" in EntryFilter(upgrade="60b5d639").fields
