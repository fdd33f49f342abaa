"""v3's objects: campaigns, their devices, the history of a device, firmware, and the account's devices. [doc, sdk]"""

from typing import Any

from sandbox.campaigns.devices import position_of
from sandbox.campaigns.stages import V3_WORDS, Progress, Stage
from sandbox.campaigns.upgrade import Look, Upgrade
from sandbox.provider_facts import Package
from sandbox.reports import dates
from sandbox.reports.options import ReportOptions

END_AFTER_S = 2 * 86_400.0
PROTOCOL = "LWM2M"

# Words and reasons are the pages'; which goes with which is [?].
_WORDS: dict[Progress, tuple[str, str]] = {
    Progress.REQUESTED: ("NoDeviceDataFromNetwork", "No data from the network yet"),
    Progress.REJECTED: ("RequestToFotaServerFailed", "Device not eligible for service."),
    Progress.ACCEPTED: (
        "UpgradePending",
        "Upgrade pending, the device upgrade is estimated to be scheduled for {next}",
    ),
    Progress.STARTED: ("UpgradeScheduled", "Upgrade scheduled"),
    Progress.SUCCEEDED: ("UpgradeSuccess", "Upgrade completed successfully"),
    Progress.FAILED: ("UpgradeFailed", "Download of the package was interrupted."),
    Progress.CANCELLED: ("CampaignCancelled", "Campaign cancelled"),
}
_OVER = {Progress.SUCCEEDED, Progress.FAILED}


def word(look: Look, options: ReportOptions) -> str:
    return options.v3_queued if look.stage is Stage.QUEUED else V3_WORDS[look.stage]


def campaign(found: Upgrade, now: float, options: ReportOptions) -> dict[str, Any]:
    """A campaign, as the list of campaigns has it."""
    plan = found.plan
    return {
        "id": found.id,
        "accountName": plan.account,
        "campaignName": f"{plan.package.name}-{found.number}",
        "firmwareName": plan.package.name,
        "firmwareFrom": plan.package.version_from,
        "firmwareTo": plan.package.version_to,
        "protocol": PROTOCOL,
        "make": plan.package.make,
        "model": plan.package.model,
        "status": word(found.look(now), options),
        "startDate": plan.start_date or dates.day(found.created),
        "endDate": plan.end_date or dates.day(found.created + END_AFTER_S),
        **plan.members,
    }


def campaign_information(found: Upgrade, now: float, options: ReportOptions) -> dict[str, Any]:
    """A campaign, as the call for one of them has it."""
    flags = {"autoAssignLicenseFlag": False, "autoAddDevicesFlag": False}
    return {**flags, **campaign(found, now, options)}


def device_status(look: Look, index: int) -> dict[str, str]:
    """A device of a campaign, with the only times of a device in the whole API."""
    found = look.upgrade
    progress, since = look.progress(index)
    status, reason = _WORDS[progress]
    start = found.time_at(found.starts(index))
    times = {"updatedTime": dates.milliseconds(found.time_at(since))}
    if progress is Progress.ACCEPTED:
        times["nextAttemptTime"] = dates.milliseconds(start)
    elif progress in _OVER | {Progress.STARTED}:
        times["recentAttemptTime"] = dates.milliseconds(start)
    text = reason.format(next=dates.in_reason(start))
    return {"deviceId": found.devices[index], "status": status, "resultReason": text, **times}


def history_item(found: Upgrade, device: str, now: float) -> dict[str, str] | None:
    """A device's entry for one campaign, whose id is called `campaignId` here; None: it has not ended there."""
    progress, since = found.look(now).progress(position_of(found.devices, device) or 0)
    if progress not in _OVER:
        return None
    status, reason = _WORDS[progress]
    return {
        "deviceId": device,
        "campaignId": found.id,
        "accountName": found.plan.account,
        "firmwareName": found.plan.package.name,
        "firmwareFrom": found.plan.package.version_from,
        "firmwareTo": found.plan.package.version_to,
        "startDate": found.plan.start_date or dates.day(found.created),
        "reportUpdatedTime": dates.utc_text(found.time_at(since)),
        "status": status,
        "reason": reason,
    }


def firmware(package: Package) -> dict[str, str]:
    return {
        "firmwareName": package.name,
        "firmwareFrom": package.version_from,
        "firmwareTo": package.version_to,
        "launchDate": package.launch_date,
        "releaseNote": "",
        "model": package.model,
        "make": package.make,
        "protocol": PROTOCOL,
    }


def account_device(device: str, found: Upgrade, now: float) -> dict[str, Any]:
    """A device of the account, as its newest campaign left it. `mdn` is a telephone number."""
    package = found.plan.package
    progress, since = found.look(now).progress(position_of(found.devices, device) or 0)
    done, time = progress is Progress.SUCCEEDED, found.time_at(since)
    return {
        "deviceId": device,
        "mdn": device[-10:],
        "model": package.model,
        "make": package.make,
        "firmware": package.version_to if done else package.version_from,
        "fotaEligible": True,
        "status": "Active",
        "licenseAssigned": True,
        "protocol": PROTOCOL,
        "softwareList": [],
        "fileList": [],
        "createTime": dates.utc_text(found.created),
        "upgradeTime": dates.utc_text(time) if done else dates.NEVER,
        "updateTime": dates.utc_text(time),
        "refreshTime": dates.utc_text(time),
        "statusTime": dates.utc_text(time),
        "lastConnectionTime": dates.milliseconds(time),
    }
