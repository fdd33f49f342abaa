"""The bodies that schedule an upgrade, as each version has them: pure functions."""

import re
from collections.abc import Mapping
from typing import Any

from sandbox import replies
from sandbox.campaigns.upgrade import Plan
from sandbox.provider_facts import EXAMPLE_PACKAGES, Package, Version
from sandbox.replies import ApiError
from sandbox.reports.options import ReportOptions

IMEI = re.compile(r"[0-9]{15}")
# Members of v2's and v3's bodies that their reports show again.
_SHOWN = (
    *("campaignName", "fileName", "fileVersion", "distributionType", "protocol"),
    *("downloadAfterDate", "downloadTimeWindowList", "installAfterDate", "installTimeWindowList"),
    *("campaignTimeWindowList", "autoAssignLicenseFlag", "autoAddDevicesFlag"),
)
_NAMES: Mapping[Version, tuple[str, str, str]] = {
    "v1": ("firmwareName", "firmwareFrom", "firmwareTo"),
    "v2": ("softwareName", "softwareFrom", "softwareTo"),
    "v3": ("firmwareName", "firmwareFrom", "firmwareTo"),
}


def parse(
    version: Version, account: str, body: Mapping[str, Any], options: ReportOptions
) -> tuple[Plan, tuple[str, ...]]:
    """What a body asks for: the plan, and the devices in ascending order.

    Raises:
        ApiError: the package or the start is missing, or the devices are not IMEIs.
    """
    devices = body.get("deviceList")
    if not isinstance(devices, list) or not devices:
        raise ApiError(replies.DEVICES)
    if not all(isinstance(each, str) and IMEI.fullmatch(each) for each in devices):
        raise ApiError(replies.DEVICES)
    plan = Plan(
        version=version,
        account=account,
        package=_package(version, body),
        pace_s=options.scheduled_pace_s,
        failures=options.scheduled_failures,
        rejections=options.scheduled_rejections,
        callbacks=options.scheduled_callbacks,
        envelope="v1" if version == "v1" else "campaign",
        start_date=_date(body, "startDate"),
        end_date=_date(body, "endDate"),
        members={name: body[name] for name in _SHOWN if name in body and version != "v1"},
    )
    return plan, tuple(sorted(set(devices)))


def _package(version: Version, body: Mapping[str, Any]) -> Package:
    example = EXAMPLE_PACKAGES[version]
    name, version_from, version_to = (body.get(member) for member in _NAMES[version])
    chosen = name or body.get("fileName")
    if not isinstance(chosen, str):
        raise ApiError(replies.PACKAGE)
    return Package(
        chosen,
        str(version_from or example.version_from),
        str(version_to or body.get("fileVersion") or example.version_to),
        example.make,
        example.model,
        example.launch_date,
    )


def _date(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ApiError(replies.DATES)
    return value
