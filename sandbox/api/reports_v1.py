"""v1's reports. [doc, sdk]"""

from flask import Response

from sandbox import replies
from sandbox.api.blueprint import api
from sandbox.api.reports import (
    account_devices,
    answer,
    answer_items,
    begin,
    device_history,
    found_upgrade,
)
from sandbox.campaigns.stages import stage_of
from sandbox.replies import ApiError
from sandbox.reports import pages, v1
from sandbox.reports.pages import Listing

UPGRADES = {"more": "hasMoreFlag", "cursor": "lastSeenUpgradeId", "items": "reportList"}


@api.get("/fota/v1/reports/<account>/status/<status>/index/<start>")
def upgrades_by_status(account: str, status: str, start: str) -> Response:
    """[doc, sdk] The upgrades in one status, oldest first, with their devices. The page size is [?]."""
    archive = begin("v1", account)
    stage, options = stage_of("v1", status), archive.options
    if stage is None:
        raise ApiError(replies.STATUS)
    listing = Listing(
        archive.in_stage(stage),
        id_of=lambda upgrade: upgrade.id,
        after=int,
        size=options.upgrades_per_page,
        form="record",
    )
    page = listing.page(start, options)
    items = (v1.upgrade(each, archive.now, options) for each in page.items)
    return answer(pages.envelope(page, items, UPGRADES, options))


@api.get("/fota/v1/upgrades/<account>/upgrade/<upgrade_id>")
def upgrade(account: str, upgrade_id: str) -> Response:
    """[doc, sdk] One upgrade with its devices. That a cancelled one is not found any more is [?]."""
    archive = begin("v1", account)
    found = found_upgrade(archive, upgrade_id)
    if v1.word(found.look(archive.now)) is None:
        raise ApiError(replies.UPGRADE_ID)
    return answer(v1.upgrade(found, archive.now, archive.options))


@api.get("/fota/v1/reports/<account>/<any(devices, device):_>/<device>")
def history_v1(account: str, device: str, _: str) -> Response:
    """[doc, sdk] A device's upgrades of six months. The page's own curl has `device` in the path, all else `devices`."""
    return device_history(begin("v1", account), device, v1.history_item)


@api.get("/fota/v1/firmware/<account>")
def firmware_v1(account: str) -> Response:
    """[doc, sdk] The firmware for the models of the account's devices."""
    archive = begin("v1", account)
    items = [v1.firmware(package, account) for package in archive.packages()]
    return answer_items(items, archive.options)


@api.get("/fota/v1/devices/<account>/index/<start>")
def devices_v1(account: str, start: str) -> Response:
    """[doc, sdk] The account's devices by IMEI; the index is the last IMEI that was seen."""
    return account_devices(begin("v1", account), start, v1.account_device)
