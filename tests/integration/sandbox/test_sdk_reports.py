"""The provider's public SDK reads every report, and schedules and cancels upgrades, over HTTP."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from testbed.polling import wait_until
from testbed.sandbox_client import Sandbox
from tests.support.provider_sdk import log_in, point_at, result_exception, sdk_client

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
DEVICES = ["990013907835573", "990013907884259"]
DAY = date(2026, 11, 29)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(option="scheduled_pace_s=0.02") as running:
        yield running


@pytest.fixture(autouse=True)
def servers(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    point_at(sandbox.base_url, monkeypatch)
    yield
    sandbox.control("DELETE", "/campaigns")


@pytest.fixture
def sdk(sandbox: Sandbox) -> Any:
    return sdk_client(sandbox, session=log_in(sandbox))


def make(sandbox: Sandbox, **wanted: Any) -> list[str]:
    """Upgrades, by their ids."""
    number = sandbox.control("POST", "/campaigns", json=wanted)["number"]
    listed = sandbox.control("GET", f"/campaigns/{number}/upgrades")["upgrades"]
    return [each["id"] for each in listed]


def test_v1_reports(sandbox: Sandbox, sdk: Any) -> None:
    ids = make(sandbox, devices=12, upgrades=6, states=dict.fromkeys(V1_STATES, 1), failures=0.5)
    reports, firmware, account = (
        sdk.software_management_reports_v1,
        sdk.firmware_v1,
        sandbox.account,
    )
    for state, upgrade_id in zip(V1_STATES, ids, strict=True):
        page = reports.list_upgrades_for_specified_status(account, state, "0").body
        (found,) = page.report_list
        assert (found.id, found.status, page.has_more_flag) == (upgrade_id, state, False)
        one = firmware.list_firmware_upgrade_details(account, upgrade_id).body
        assert [each.device_id for each in one.device_list] == [
            each.device_id for each in found.device_list
        ]
    (image,) = firmware.list_available_firmware(account).body
    assert image.to_version == "VerizonFirmwareVersion-02"
    devices = reports.list_account_devices(account, "0").body
    assert (len(devices.device_list), devices.last_seen_device_id) == (12, 990000000000012)
    finished = devices.device_list[8].device_id
    (entry,) = reports.get_device_firmware_upgrade_history(account, finished).body
    assert (entry.id, bool(entry.upgrade_start_time)) == (ids[4], True)


def test_v2_reports(sandbox: Sandbox, sdk: Any) -> None:
    ids = make(sandbox, version="v2", devices=16, upgrades=8, states=dict.fromkeys(V2_STATES, 1))
    reports, account = sdk.software_management_reports_v2, sandbox.account
    for state, campaign_id in zip(V2_STATES, ids, strict=True):
        page = reports.get_campaign_history_by_status(account, state, "0").body
        (found,) = page.campaign_list
        assert (found.id, found.status, page.has_more_data) == (campaign_id, state, False)
        one = sdk.campaigns_v2.get_campaign_information(account, campaign_id).body
        assert (one.id, one.software_name) == (campaign_id, found.software_name)
        devices = reports.get_campaign_device_status(account, campaign_id).body
        assert (devices.total_device, len(devices.device_list)) == (2, 2)
    (software,) = reports.list_available_software(account).body
    assert software.distribution_type == "HTTP"
    listed = reports.list_account_devices(account, "0").body
    assert len(listed.device_list) == 16
    ended = listed.device_list[-1].device_id
    (entry,) = reports.get_device_firmware_upgrade_history(account, ended).body
    assert (entry.id, entry.status) == (ids[-1], "UpgradeSuccess")
    assert len(sdk.server_logging.get_device_check_in_history(account, ended).body) == 2


def test_v3_reports(sandbox: Sandbox, sdk: Any) -> None:
    states = dict.fromkeys((*V2_STATES, "CampaignPreScheduled"), 1)
    ids = make(sandbox, version="v3", devices=18, upgrades=9, states=states)
    reports, account = sdk.software_management_reports_v3, sandbox.account
    for state, campaign_id in zip(V2_STATES, ids, strict=False):
        page = reports.get_campaign_history_by_status(account, state, "0").body
        assert [(each.id, each.status) for each in page.campaign_list] == [(campaign_id, state)]
        devices = reports.get_campaign_device_status(account, campaign_id).body
        assert all(each.updated_time.datetime.year >= 2026 for each in devices.device_list)
    hidden = sdk.campaigns_v3.get_campaign_information(account, ids[-1]).body
    assert (hidden.status, hidden.auto_add_devices_flag) == ("CampaignPreScheduled", False)
    (image,) = sdk.firmware_v3.list_available_firmware(account, "all").body
    assert image.protocol == "LWM2M"
    listed = sdk.account_devices.get_account_device_information(account, "0").body
    assert (listed.max_page_size, len(listed.device_list)) == (1000, 18)
    ended = listed.device_list[14].device_id
    (entry,) = reports.get_device_firmware_upgrade_history(account, ended).body
    assert (entry.campaign_id, entry.status) == (ids[7], "UpgradeSuccess")


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_an_unknown_id_is_the_version_s_exception(sandbox: Sandbox, sdk: Any, version: str) -> None:
    unknown = "60b5d639-ccdc-4db8-8824-069bd94c95bf"
    with pytest.raises(result_exception(version)) as problem:
        if version == "v1":
            sdk.firmware_v1.list_firmware_upgrade_details(sandbox.account, unknown)
        else:
            campaigns = getattr(sdk, f"campaigns_{version}")
            campaigns.get_campaign_information(sandbox.account, unknown)
    error: Any = problem.value
    assert error.error_code == "INVALID_PARAMETER"


def test_an_upgrade_of_v1_is_scheduled_and_finishes(sandbox: Sandbox, sdk: Any) -> None:
    from verizon.models.firmware_upgrade_request import FirmwareUpgradeRequest

    body = FirmwareUpgradeRequest(
        account_name=sandbox.account,
        firmware_name="FOTA_Verizon_Model-A_01To02_HF",
        firmware_to="VerizonFirmwareVersion-02",
        start_date=DAY,
        end_date=DAY,
        device_list=DEVICES,
    )
    made = sdk.firmware_v1.schedule_firmware_upgrade(body).body
    assert {each.device_id for each in made.device_list} == set(DEVICES)

    def finished() -> bool:
        found = sdk.firmware_v1.list_firmware_upgrade_details(sandbox.account, made.id).body
        return bool(found.status == "Finished")

    wait_until(finished, "the end of the upgrade", 10)
    # Nothing is registered: the callbacks are recorded as such.
    sent = sandbox.control("GET", "/deliveries", params={"upgrade": made.id})["deliveries"]
    assert [each["type"] for each in sent] == [
        *("upgradeScheduled", "upgradeProgress", "upgradeProgress"),
        *("upgradeFinished", "upgradeFinished"),
    ]


def test_a_campaign_of_v2_is_scheduled_and_ends(sandbox: Sandbox, sdk: Any) -> None:
    from verizon.models.campaign_software_upgrade import CampaignSoftwareUpgrade
    from verizon.models.v2_time_window import V2TimeWindow

    body = CampaignSoftwareUpgrade(
        campaign_name="Upgrade",
        software_name="FOTA_Verizon_Model-A_02To03_HF",
        software_from="1",
        software_to="2",
        distribution_type="HTTP",
        start_date=DAY,
        end_date=DAY,
        download_time_window_list=[V2TimeWindow(start_time=20, end_time=21)],
        device_list=DEVICES,
    )
    made = sdk.campaigns_v2.schedule_campaign_firmware_upgrade(sandbox.account, body).body
    assert (made.campaign_name, made.download_time_window_list[0].start_time) == ("Upgrade", 20)

    def ended() -> bool:
        found = sdk.campaigns_v2.get_campaign_information(sandbox.account, made.id).body
        return bool(found.status == "CampaignEnded")

    wait_until(ended, "the end of the campaign", 10)


def test_a_campaign_of_v3_is_scheduled_and_cancelled(sandbox: Sandbox, sdk: Any) -> None:
    from verizon.models.campaign_firmware_upgrade import CampaignFirmwareUpgrade

    body = CampaignFirmwareUpgrade(
        firmware_name="F",
        firmware_from="1",
        firmware_to="2",
        protocol="LWM2M",
        start_date=DAY,
        end_date=DAY,
        auto_assign_license_flag=False,
        auto_add_devices_flag=False,
        device_list=DEVICES,
    )
    sandbox.control("PUT", "/options", json={"scheduled_pace_s": 1000})
    made = sdk.campaigns_v3.schedule_campaign_firmware_upgrade(sandbox.account, body).body
    assert made.status == "CampaignRequestPending"
    assert sdk.campaigns_v3.cancel_campaign(sandbox.account, made.id).body.success is True
    found = sdk.campaigns_v3.get_campaign_information(sandbox.account, made.id).body
    assert found.status == "CampaignCancelled"
    sandbox.control("DELETE", "/options")
