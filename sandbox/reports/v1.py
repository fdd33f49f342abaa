"""v1's objects: upgrades with their devices, the history of a device, firmware, and the account's devices. [doc, sdk]"""

from collections.abc import Iterator
from typing import Any

from sandbox.campaigns.devices import position_of
from sandbox.campaigns.stages import V1_WORDS, Progress
from sandbox.campaigns.upgrade import Look, Upgrade
from sandbox.provider_facts import Package
from sandbox.reports import dates
from sandbox.reports.options import ReportOptions

END_AFTER_S = 4 * 86_400.0

# The words until `Device Rejected` and `UpgradeSuccess` are documented. That a started device is still "accepted", and
# which word a failed one has, is [?].
_WORDS: dict[Progress, tuple[str, str | None]] = {
    Progress.REQUESTED: ("RequestPending", None),
    Progress.REJECTED: ("Device Rejected", "Device not eligible for service."),
    Progress.ACCEPTED: ("Device Accepted", "success"),
    Progress.STARTED: ("Device Accepted", "success"),
    Progress.SUCCEEDED: ("UpgradeSuccess", "success"),
    Progress.FAILED: ("UpgradeFailed", "Download of the package was interrupted."),
    Progress.CANCELLED: ("Device Accepted", "success"),
}


def word(look: Look) -> str | None:
    """The upgrade's status; None: it was cancelled, for which v1 has no word."""
    return V1_WORDS.get(look.stage)


def upgrade(found: Upgrade, now: float, options: ReportOptions) -> dict[str, Any]:
    """An upgrade; its devices are an iterator."""
    plan = found.plan
    end = plan.end_date or dates.day(found.created + END_AFTER_S)
    return {
        "id": found.id,
        "accountName": plan.account,
        "firmwareName": plan.package.name,
        "firmwareTo": plan.package.version_to,
        "startDate": plan.start_date or dates.day(found.created),
        **({"endDate": end} if options.v1_end_date else {}),
        "status": word(found.look(now)),
        "deviceList": devices(found.look(now - options.v1_results_late_s)),
    }


def devices(look: Look) -> Iterator[dict[str, str]]:
    """The devices of an upgrade, each made when it is asked for."""
    return (_device(look, index, device) for index, device in enumerate(look.upgrade.devices))


def device_words(progress: Progress) -> tuple[str, str]:
    """A device's status and reason."""
    status, reason = _WORDS[progress]
    return status, reason or ""


def _device(look: Look, index: int, device: str) -> dict[str, str]:
    status, reason = _WORDS[look.progress(index)[0]]
    more = {} if reason is None else {"resultReason": reason}
    return {"deviceId": device, "status": status, **more}


def history_item(found: Upgrade, device: str, now: float) -> dict[str, str] | None:
    """A device's entry for one upgrade; None: it has not started there."""
    index = position_of(found.devices, device) or 0
    progress, _ = found.look(now).progress(index)
    if progress not in {Progress.STARTED, Progress.SUCCEEDED, Progress.FAILED}:
        return None
    status, reason = _WORDS[progress]
    return {
        "deviceId": device,
        "id": found.id,
        "accountName": found.plan.account,
        "firmwareFrom": found.plan.package.version_from,
        "firmwareTo": found.plan.package.version_to,
        "startDate": found.plan.start_date or dates.day(found.created),
        "upgradeStartTime": dates.seconds(found.time_at(found.starts(index))),
        "status": "InProgress" if progress is Progress.STARTED else status,
        "reason": reason or "",
    }


def firmware(package: Package, account: str) -> dict[str, str]:
    """The same eight members that a callback's `firmwareList` has."""
    return {
        "firmwareName": package.name,
        "participantName": account,
        "launchDate": package.launch_date,
        "releaseNote": "",
        "model": package.model,
        "make": package.make,
        "fromVersion": package.version_from,
        "toVersion": package.version_to,
    }


def account_device(device: str, found: Upgrade, now: float) -> dict[str, Any]:
    """A device of the account, as its newest upgrade left it. `mdn` is a telephone number."""
    index = position_of(found.devices, device) or 0
    progress, since = found.look(now).progress(index)
    package, done = found.plan.package, progress is Progress.SUCCEEDED
    return {
        "deviceId": device,
        "mdn": device[-10:],
        "model": package.model,
        "make": package.make,
        "firmware": package.version_to if done else package.version_from,
        "fotaEligible": True,
        "licenseAssigned": True,
        "upgradeTime": dates.utc_text(found.time_at(since)) if done else dates.NEVER,
    }
