"""v3's reports, with both paths for the list of campaigns. [doc, sdk]"""

from flask import Response, request

from sandbox import replies
from sandbox.api.blueprint import api
from sandbox.api.campaign_lists import campaigns_page
from sandbox.api.reports import (
    account_devices,
    answer,
    answer_items,
    begin,
    campaign_devices,
    device_history,
    found_upgrade,
)
from sandbox.campaigns.stages import QUEUED_ELSEWHERE, V3_WORDS, Stage, stage_of
from sandbox.replies import SHAPES, ApiError
from sandbox.reports import v3
from sandbox.reports.options import ReportOptions


@api.get("/fota/v3/reports/<account>/firmware/campaigns")
def campaigns_by_status_v3(account: str) -> Response:
    """[sdk] The campaigns in one status, by the SDK's path."""
    return _campaigns(account, "sdk")


@api.get("/fota/v3/reports/<account>/campaigns")
def campaigns_by_status_v3_pages(account: str) -> Response:
    """[doc] The campaigns in one status, by the pages' path."""
    return _campaigns(account, "pages")


def _campaigns(account: str, path: str) -> Response:
    archive = begin("v3", account)
    options = archive.options
    if options.v3_campaigns_path not in {path, "both"}:
        other = {"900906": replies.NO_RESOURCE, "404": SHAPES["gateway-no-resource-404"]}
        raise ApiError(other[options.v3_other_path])
    stage = _asked(request.args.get("campaignStatus", ""), options)
    return campaigns_page(archive, stage, lambda each: v3.campaign(each, archive.now, options))


def _asked(word: str, options: ReportOptions) -> Stage:
    """The stage that is asked for. Raises ApiError: it cannot be asked for by this word."""
    stage = stage_of("v3", word)
    queued = {QUEUED_ELSEWHERE, V3_WORDS[Stage.QUEUED]}
    hidden = stage is Stage.PRE_SCHEDULED and options.pre_scheduled == "by-id"
    other = word in queued and options.v3_queued_query not in {word, "both"}
    if stage is None or hidden or other:
        raise ApiError(replies.STATUS)
    return stage


@api.get("/fota/v3/campaigns/<account>/<campaign_id>")
def campaign_v3(account: str, campaign_id: str) -> Response:
    """[doc, sdk] One campaign, also a pre-scheduled one, which no list shows."""
    archive = begin("v3", account)
    found = found_upgrade(archive, campaign_id)
    return answer(v3.campaign_information(found, archive.now, archive.options))


@api.get("/fota/v3/reports/<account>/campaigns/<campaign_id>/devices")
def campaign_devices_v3(account: str, campaign_id: str) -> Response:
    """[doc, sdk] A campaign's devices by IMEI, with the only times of a device."""
    return campaign_devices(begin("v3", account), campaign_id, v3.device_status)


@api.get("/fota/v3/reports/<account>/devices/<device>")
def history_v3(account: str, device: str) -> Response:
    """[doc, sdk] A device's campaigns that have ended, with the time of the report."""
    return device_history(begin("v3", account), device, v3.history_item)


@api.get("/fota/v3/firmware/<account>")
def firmware_v3(account: str) -> Response:
    """[doc, sdk] The firmware for the models of the account's devices, all of one protocol."""
    archive = begin("v3", account)
    asked = request.args.get("protocol", "all")
    found = archive.packages() if asked in {v3.PROTOCOL, "all"} else []
    return answer_items([v3.firmware(package) for package in found], archive.options)


@api.get("/fota/v3/devices/<account>")
def devices_v3(account: str) -> Response:
    """[doc, sdk] The account's devices by IMEI. `protocol` is ignored: all of them are LWM2M devices."""
    cursor = request.args.get("lastSeenDeviceId", "0")
    return account_devices(begin("v3", account), cursor, v3.account_device)
