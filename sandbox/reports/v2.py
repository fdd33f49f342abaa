"""v2's objects: campaigns, their devices, the history of a device, software, the account's devices, check-ins. [doc, sdk]"""

from typing import Any

from sandbox.campaigns.devices import position_of
from sandbox.campaigns.stages import PACES_OF_A_DEVICE, V2_WORDS, Progress
from sandbox.campaigns.upgrade import Look, Upgrade
from sandbox.provider_facts import Package
from sandbox.reports import dates
from sandbox.reports.options import ReportOptions

END_AFTER_S = 86_400.0
DISTRIBUTION = "HTTP"

# Words and reasons are the pages'; which goes with which is [?].
_WORDS: dict[Progress, tuple[str, str | None]] = {
    Progress.REQUESTED: ("RequestPending", None),
    Progress.REJECTED: ("DeviceRejected", "Device not eligible for service."),
    Progress.ACCEPTED: ("Accepted", "success"),
    Progress.STARTED: ("UpgradePending", "RovaClientDownloadNotInstalledYet"),
    Progress.SUCCEEDED: ("UpgradeSuccess", "DownloadInstallSucceeded"),
    Progress.FAILED: ("UpgradeFailed", "RovaClientDownloadFailed"),
    Progress.CANCELLED: ("CampaignCancelled", None),
}
_OVER = {Progress.SUCCEEDED, Progress.FAILED}


def word(look: Look) -> str:
    return V2_WORDS[look.stage]


def campaign(found: Upgrade, now: float) -> dict[str, Any]:
    """A campaign. One for a file names that in the software's place. [sdk]"""
    plan, package = found.plan, found.plan.package
    software = {
        "softwareName": package.name,
        "softwareFrom": package.version_from,
        "softwareTo": package.version_to,
    }
    return {
        "id": found.id,
        "accountName": plan.account,
        "campaignName": f"{package.name}-{found.number}",
        **({} if "fileName" in plan.members else software),
        "distributionType": DISTRIBUTION,
        "make": package.make,
        "model": package.model,
        "startDate": plan.start_date or dates.day(found.created),
        "endDate": plan.end_date or dates.day(found.created + END_AFTER_S),
        **plan.members,
        "status": word(found.look(now)),
    }


def device_status(look: Look, index: int) -> dict[str, str]:
    """A device of a campaign. There is no time in it."""
    status, reason = _WORDS[look.progress(index)[0]]
    more = {} if reason is None else {"resultReason": reason}
    return {"deviceId": look.upgrade.devices[index], "status": status, **more}


def history_item(found: Upgrade, device: str, now: float) -> dict[str, str] | None:
    """A device's entry for one campaign; None: it has not ended there."""
    progress, _ = found.look(now).progress(position_of(found.devices, device) or 0)
    if progress not in _OVER:
        return None
    status, reason = _WORDS[progress]
    return {
        "deviceId": device,
        "id": found.id,
        "accountName": found.plan.account,
        "softwareName": found.plan.package.name,
        "startDate": found.plan.start_date or dates.day(found.created),
        "status": status,
        "reason": reason or "",
    }


def software(package: Package, options: ReportOptions) -> dict[str, str]:
    return {
        options.v2_software_member: package.name,
        "launchDate": package.launch_date,
        "releaseNote": "",
        "model": package.model,
        "make": package.make,
        "distributionType": DISTRIBUTION,
        "devicePlatformId": "IoT",
    }


def account_device(device: str, found: Upgrade, now: float) -> dict[str, Any]:
    """A device of the account, as its newest campaign left it. `mdn` is a telephone number."""
    package = found.plan.package
    progress, since = found.look(now).progress(position_of(found.devices, device) or 0)
    done, time = progress is Progress.SUCCEEDED, found.time_at(since)
    installed = {
        "name": package.name,
        "version": package.version_to,
        "upgradeTime": dates.milliseconds(time),
    }
    return {
        "deviceId": device,
        "mdn": device[-10:],
        "model": package.model,
        "make": package.make,
        "fotaEligible": True,
        "appFotaEligible": True,
        "licenseAssigned": True,
        "distributionType": DISTRIBUTION,
        "softwareList": [installed] if done else [],
        "createTime": dates.utc_text(found.created),
        "upgradeTime": dates.utc_text(time) if done else dates.NEVER,
        "updateTime": dates.utc_text(time),
        "refreshTime": dates.utc_text(time),
    }


def check_ins(found: Upgrade, device: str, now: float) -> list[dict[str, str]]:
    """When a device asked for its campaign, newest first. The words are [?]."""
    index = position_of(found.devices, device) or 0
    progress, _ = found.look(now).progress(index)
    if progress not in _OVER | {Progress.STARTED}:
        return []
    start = found.starts(index)
    ends = [(start + PACES_OF_A_DEVICE, progress)] if progress in _OVER else []
    return [
        {
            "deviceId": device,
            "clientType": DISTRIBUTION,
            "result": "Failure" if result is Progress.FAILED else "Success",
            "failureType": "DownloadFailed" if result is Progress.FAILED else "",
            "timeCompleted": dates.milliseconds(found.time_at(at)),
        }
        for at, result in [*ends, (start, Progress.STARTED)]
    ]
