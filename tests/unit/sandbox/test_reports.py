"""The reports of v1, v2 and v3: states, devices, pages, histories, and what each refuses."""

from typing import Any

import pytest

from tests.support.sandbox_caller import ACCOUNT, Caller

V1_STATES = ("RequestPending", "Queued", "RequestFailed", "InProgress", "Finished", "UpgradeFailed")
V2_STATES = (
    "CampaignRequestPending",
    "CampaignRequestFailed",
    "CampaignRequestQueued",
    "CampaignCancelled",
    "CampaignAborted",
    "CampaignFailed",
    "CampaignScheduled",
    "CampaignEnded",
)
CAMPAIGNS = {"v2": "/reports/A/campaigns", "v3": "/reports/A/firmware/campaigns"}


@pytest.fixture
def caller() -> Caller:
    return Caller().authorize()


def in_state(caller: Caller, version: str, state: str, cursor: str = "0") -> dict[str, Any]:
    """One page of the list of an account's upgrades in a state."""
    if version == "v1":
        page: dict[str, Any] = caller.read("v1", f"/reports/A/status/{state}/index/{cursor}")
        return page
    query = f"?campaignStatus={state}&lastSeenCampaignId={cursor}"
    found: dict[str, Any] = caller.read(version, CAMPAIGNS[version] + query)
    return found


def items(page: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = page["reportList" if "reportList" in page else "campaignList"]
    return listed


@pytest.mark.parametrize(
    ("version", "states"), [("v1", V1_STATES), ("v2", V2_STATES), ("v3", V2_STATES)]
)
def test_every_state_lists_the_upgrades_that_were_placed_in_it(
    caller: Caller, version: str, states: tuple[str, ...]
) -> None:
    weights = {state: number for number, state in enumerate(states, start=1)}
    count = sum(weights.values())
    made = caller.campaigns(version=version, devices=3 * count, upgrades=count, states=weights)
    seen = {state: items(in_state(caller, version, state)) for state in states}
    assert {state: len(found) for state, found in seen.items()} == weights
    assert all(each["status"] == state for state, found in seen.items() for each in found)
    ids = sorted(each["id"] for found in seen.values() for each in found)
    assert ids == sorted(caller.ids(made))


def test_v1_upgrade_has_the_documented_members_and_its_devices(caller: Caller) -> None:
    (upgrade_id,) = caller.ids(caller.campaigns(devices=2, states={"Queued": 1}))
    (listed,) = items(in_state(caller, "v1", "Queued"))
    assert caller.read("v1", f"/upgrades/A/upgrade/{upgrade_id}") == listed
    assert listed == {
        "id": upgrade_id,
        "accountName": ACCOUNT,
        "firmwareName": "FOTA_Verizon_Model-A_01To02_HF",
        "firmwareTo": "VerizonFirmwareVersion-02",
        "startDate": "1970-01-12",
        "endDate": "1970-01-16",
        "status": "Queued",
        "deviceList": [
            {"deviceId": device, "status": "Device Accepted", "resultReason": "success"}
            for device in ("990000000000001", "990000000000002")
        ],
    }


def test_v1_pages_by_the_number_of_the_record_and_refuses_one_beyond_the_end(
    caller: Caller,
) -> None:
    made = caller.campaigns(devices=5, upgrades=5, states={"Finished": 1}, age_days=10)
    caller.options(upgrades_per_page=2)
    first, second = (in_state(caller, "v1", "Finished", start) for start in ("0", "2"))
    last = in_state(caller, "v1", "Finished", "4")
    flags = [(page["hasMoreFlag"], page["lastSeenUpgradeId"]) for page in (first, second, last)]
    assert flags == [(True, 2), (True, 4), (False, 5)]
    assert [each["id"] for page in (first, second, last) for each in items(page)] == caller.ids(
        made
    )
    for start, message in (("5", "Index exceeds"), ("-1", "Invalid index"), ("x", "Invalid index")):
        answer = caller.get("v1", f"/reports/A/status/Finished/index/{start}")
        assert answer.status_code == 400
        assert answer.get_json()["errorMessage"].startswith(message)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_campaigns_come_by_id_and_the_cursor_is_the_last_one(caller: Caller, version: str) -> None:
    made = caller.campaigns(version=version, devices=5, upgrades=5, states={"CampaignEnded": 1})
    caller.options(campaigns_per_page=2)
    seen, cursor, more = [], "0", True
    while more:
        page = in_state(caller, version, "CampaignEnded", cursor)
        cursor, more = page["lastSeenCampaignId"], page["hasMoreData"]
        seen += [each["id"] for each in items(page)]
        assert cursor == seen[-1]
    assert seen == sorted(caller.ids(made))
    assert items(in_state(caller, version, "CampaignEnded", cursor)) == []


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_the_devices_of_a_campaign_come_by_imei(caller: Caller, version: str) -> None:
    (campaign,) = caller.ids(
        caller.campaigns(version=version, devices=5, states={"CampaignEnded": 1}, failures=1)
    )
    caller.options(devices_per_page=3)
    path = f"/reports/A/campaigns/{campaign}/devices"
    first = caller.read(version, path)
    assert (first["totalDevice"], first["maxPageSize"], first["hasMoreData"]) == (5, 3, True)
    second = caller.read(version, f"{path}?lastSeenDeviceId={first['lastSeenDeviceId']}")
    assert second["hasMoreData"] is False
    devices = [each["deviceId"] for page in (first, second) for each in page["deviceList"]]
    assert devices == [f"99000000000000{number}" for number in range(1, 6)]
    assert {each["status"] for each in first["deviceList"]} == {"UpgradeFailed"}
    information = caller.read(version, f"/campaigns/A/{campaign}")
    assert (information["id"], information["status"]) == (campaign, "CampaignEnded")
    assert ("autoAddDevicesFlag" in information) == (version == "v3")


def test_only_v3_has_times_of_a_device(caller: Caller) -> None:
    (v2,) = caller.ids(caller.campaigns(version="v2", states={"CampaignEnded": 1}))
    (v3,) = caller.ids(caller.campaigns(version="v3", states={"CampaignScheduled": 1}, devices=9))
    (device,) = caller.read("v2", f"/reports/A/campaigns/{v2}/devices")["deviceList"]
    assert set(device) == {"deviceId", "status", "resultReason"}
    found = caller.read("v3", f"/reports/A/campaigns/{v3}/devices")["deviceList"]
    assert {each["status"] for each in found} == {
        "UpgradeSuccess",
        "UpgradeScheduled",
        "UpgradePending",
    }
    assert all("updatedTime" in each for each in found)
    assert all(
        ("nextAttemptTime" in each) == (each["status"] == "UpgradePending") for each in found
    )


@pytest.mark.parametrize(
    ("version", "state", "id_member"),
    [
        ("v1", "Finished", "id"),
        ("v2", "CampaignEnded", "id"),
        ("v3", "CampaignEnded", "campaignId"),
    ],
)
def test_a_device_has_a_history_newest_first(
    caller: Caller, version: str, state: str, id_member: str
) -> None:
    wanted = {"version": version, "states": {state: 1}, "first_device": "123456789012345"}
    ids = [caller.ids(caller.campaigns(**wanted))[0] for _ in range(2)]
    found = caller.read(version, "/reports/A/devices/123456789012345")
    assert [each[id_member] for each in found] == ids[::-1]
    assert {each["status"] for each in found} == {"UpgradeSuccess"}
    assert caller.read(version, "/reports/A/devices/123456789012346") == []


def test_v1_history_has_the_time_at_which_the_device_started(caller: Caller) -> None:
    caller.campaigns(states={"InProgress": 1}, first_device="123456789012345")
    (entry,) = caller.read("v1", "/reports/A/device/123456789012345")
    assert (entry["upgradeStartTime"], entry["status"]) == ("1970-01-12T13:46:39Z", "InProgress")


def test_the_account_s_devices_come_by_imei_in_every_version(caller: Caller) -> None:
    for version, state in (("v1", "Finished"), ("v2", "CampaignEnded"), ("v3", "CampaignEnded")):
        first = {"first_device": "000000000000007"}
        caller.campaigns(version=version, devices=4, states={state: 1}, **first)
        caller.campaigns(version=version, devices=6, states={state: 1}, **first)
    caller.options(devices_per_page=4)
    v1 = caller.read("v1", "/devices/A/index/0")
    assert (v1["hasMoreData"], v1["lastSeenDeviceId"]) == (True, 10)
    rest = caller.read("v1", f"/devices/A/index/{v1['lastSeenDeviceId']}")
    assert [each["deviceId"][-2:] for each in rest["deviceList"]] == ["11", "12"]
    for version in ("v2", "v3"):
        page = caller.read(version, "/devices/A")
        assert (page["maxPageSize"], page["lastSeenDeviceId"]) == (4, "000000000000010")
        rest = caller.read(version, "/devices/A?lastSeenDeviceId=000000000000010")
        assert [each["deviceId"][-2:] for each in rest["deviceList"]] == ["11", "12"]
        assert rest["hasMoreData"] is False


def test_firmware_and_software_are_those_of_the_account_s_devices(caller: Caller) -> None:
    for version, path in (("v1", "firmware"), ("v2", "software"), ("v3", "firmware")):
        assert caller.read(version, f"/{path}/A") == []
        caller.campaigns(version=version)
    (v1,) = caller.read("v1", "/firmware/A")
    assert set(v1) == {
        *("firmwareName", "participantName", "launchDate", "releaseNote"),
        *("model", "make", "fromVersion", "toVersion"),
    }
    (v2,) = caller.read("v2", "/software/A?distributionType=HTTP")
    assert v2["devicePlatformId"] == "IoT"
    assert caller.read("v2", "/software/A?distributionType=LWM2M") == []
    assert [each["protocol"] for each in caller.read("v3", "/firmware/A?protocol=all")] == ["LWM2M"]
    assert caller.read("v3", "/firmware/A?protocol=OMD-DM") == []


def test_check_ins_name_no_campaign(caller: Caller) -> None:
    made = caller.campaigns(version="v2", states={"CampaignEnded": 1}, failures=1)
    entries = caller.read("v2", f"/logging/A/devices/{made['first_device']}/checkInHistory")
    assert [each["result"] for each in entries] == ["Failure", "Success"]
    members = {"deviceId", "clientType", "result", "failureType", "timeCompleted"}
    assert all(set(each) == members for each in entries)


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("v1", "/reports/A/status/Nonsense/index/0"),
        ("v1", "/reports/A/status/CampaignEnded/index/0"),
        ("v1", "/upgrades/A/upgrade/60b5d639-ccdc-4db8-8824-069bd94c95bf"),
        ("v2", "/reports/A/campaigns?campaignStatus=Finished"),
        ("v2", "/reports/A/campaigns"),
        ("v2", "/reports/A/campaigns?campaignStatus=CampaignQueued"),
        ("v2", "/campaigns/A/60b5d639-ccdc-4db8-8824-069bd94c95bf"),
        ("v3", "/reports/A/campaigns/60b5d639-ccdc-4db8-8824-069bd94c95bf/devices"),
        ("v3", "/reports/A/firmware/campaigns?campaignStatus=CampaignPreScheduled"),
        ("v1", "/devices/A/index/nonsense"),
        ("v2", "/devices/A?lastSeenDeviceId=-1"),
        ("v3", f"/devices/A?lastSeenDeviceId={'9' * 16}"),
    ],
)
def test_an_unknown_state_or_id_is_a_400_in_the_provider_s_form(
    caller: Caller, version: str, path: str
) -> None:
    answer = caller.get(version, path)
    assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "INVALID_PARAMETER")


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("v1", "/reports/A/status/Queued/index/0"),
        ("v1", "/devices/A/index/0"),
        ("v2", "/reports/A/campaigns?campaignStatus=CampaignEnded"),
        ("v2", "/logging/A/devices/1/checkInHistory"),
        ("v3", "/reports/A/firmware/campaigns?campaignStatus=CampaignEnded"),
        ("v3", "/firmware/A"),
    ],
)
def test_a_report_needs_token_session_and_a_known_account(
    caller: Caller, version: str, path: str
) -> None:
    assert caller.get(version, path).status_code == 200
    other = caller.get(version, path.replace("/A", "/0000000000-00000", 1))
    assert (other.status_code, other.get_json()["errorMessage"]) == (400, "Inactive account")
    session = caller.headers.pop("VZ-M2M-Token")
    assert caller.get(version, path).status_code == 400
    caller.headers = {"VZ-M2M-Token": session}
    assert caller.get(version, path).status_code == 401


def test_a_fault_strikes_a_report_like_any_call(caller: Caller) -> None:
    caller.control("POST", "/faults", {"path": "/api/fota/v1/reports", "shape": "throttled"})
    answer = caller.get("v1", "/reports/A/status/Queued/index/0")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    caller.read("v1", "/reports/A/status/Queued/index/0")


def test_reports_are_of_one_account() -> None:
    other = "0000123456-00001"
    caller = Caller(accounts=(ACCOUNT, other)).authorize()
    (upgrade_id,) = caller.ids(caller.campaigns(account=other, states={"Queued": 1}))
    assert items(in_state(caller, "v1", "Queued")) == []
    assert caller.get("v1", f"/upgrades/A/upgrade/{upgrade_id}").status_code == 400
    answer = caller("GET", f"/api/fota/v1/upgrades/{other}/upgrade/{upgrade_id}")
    assert answer.get_json()["accountName"] == other
