"""v2's reports. [doc, sdk]"""

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
from sandbox.campaigns.stages import stage_of
from sandbox.replies import ApiError
from sandbox.reports import v2


@api.get("/fota/v2/reports/<account>/campaigns")
def campaigns_by_status_v2(account: str) -> Response:
    """[doc, sdk] The campaigns in one status, by id, without their devices. The page size is [?]."""
    archive = begin("v2", account)
    stage = stage_of("v2", request.args.get("campaignStatus", ""))
    if stage is None:
        raise ApiError(replies.STATUS)
    return campaigns_page(archive, stage, lambda each: v2.campaign(each, archive.now))


@api.get("/fota/v2/campaigns/<account>/<campaign_id>")
def campaign_v2(account: str, campaign_id: str) -> Response:
    """[doc, sdk] One campaign, without its devices."""
    archive = begin("v2", account)
    return answer(v2.campaign(found_upgrade(archive, campaign_id), archive.now))


@api.get("/fota/v2/reports/<account>/campaigns/<campaign_id>/devices")
def campaign_devices_v2(account: str, campaign_id: str) -> Response:
    """[doc, sdk] A campaign's devices by IMEI, without times."""
    return campaign_devices(begin("v2", account), campaign_id, v2.device_status)


@api.get("/fota/v2/reports/<account>/devices/<device>")
def history_v2(account: str, device: str) -> Response:
    """[doc, sdk] A device's campaigns that have ended. How far back is [?]."""
    return device_history(begin("v2", account), device, v2.history_item)


@api.get("/fota/v2/software/<account>")
def software(account: str) -> Response:
    """[doc, sdk] The software for the models of the account's devices, all of one distribution type."""
    archive = begin("v2", account)
    asked = request.args.get("distributionType", v2.DISTRIBUTION)
    found = archive.packages() if asked == v2.DISTRIBUTION else []
    return answer_items([v2.software(each, archive.options) for each in found], archive.options)


@api.get("/fota/v2/devices/<account>")
def devices_v2(account: str) -> Response:
    """[doc, sdk] The account's devices by IMEI. `distributionType` is ignored: all of them are HTTP devices."""
    cursor = request.args.get("lastSeenDeviceId", "0")
    return account_devices(begin("v2", account), cursor, v2.account_device)


@api.get("/fota/v2/logging/<account>/devices/<device>/checkInHistory")
def check_ins(account: str, device: str) -> Response:
    """[doc, sdk] When a device asked for campaigns; there is no campaign's id in it. The words are [?]."""
    archive = begin("v2", account)
    found = archive.of_device(device)
    items = [item for each in found for item in v2.check_ins(each, device, archive.now)]
    return answer_items(items, archive.options)
