"""What the calls for reports share: their beginning, and the replies that several versions have."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from flask import Response, request

from sandbox import replies
from sandbox.api import documents
from sandbox.api.blueprint import authorize, respond
from sandbox.campaigns.devices import DIGITS, merged_after, position_after
from sandbox.campaigns.upgrade import Look, Upgrade
from sandbox.provider_facts import Version
from sandbox.replies import ApiError, Reply
from sandbox.reports import pages
from sandbox.reports.archive import Archive
from sandbox.reports.options import ReportOptions
from sandbox.reports.pages import Listing
from sandbox.state import state

Item: TypeAlias = dict[str, Any]
DEVICES = {"more": "hasMoreData", "cursor": "lastSeenDeviceId", "items": "deviceList"}


def begin(version: Version, account: str) -> Archive:
    """What every report begins with: credentials, the chosen delay and the chosen throttling.

    Raises:
        ApiError: the call is refused.
    """
    authorize(account)
    options = state().report_options.get()
    time.sleep(options.delay_s)
    if state().report_options.throttles():
        headers = {"Retry-After": options.retry_after} if options.retry_after else {}
        raise ApiError(Reply(429, headers=headers))
    return Archive(state().catalogue, version, account, options, state().clock())


def answer(document: Any) -> Response:
    """A reply, or a document whose lists may be iterators."""
    return respond(document) if isinstance(document, Reply) else documents.response(document)


def answer_items(items: Sequence[Item], options: ReportOptions) -> Response:
    """A bare list."""
    return answer(iter(items) if items else pages.empty(options))


def found_upgrade(archive: Archive, upgrade_id: str) -> Upgrade:
    """The upgrade with this id. Raises ApiError: there is none."""
    found = archive.get(upgrade_id)
    if found is None:
        raise ApiError(replies.UPGRADE_ID if archive.version == "v1" else replies.CAMPAIGN_ID)
    return found


def device_history(
    archive: Archive, device: str, item: Callable[[Upgrade, str, float], Item | None]
) -> Response:
    """The upgrades of a device, newest first."""
    found = archive.of_device(device)
    items = [each for upgrade in found if (each := item(upgrade, device, archive.now))]
    return answer_items(items, archive.options)


def campaign_devices(
    archive: Archive, campaign_id: str, item: Callable[[Look, int], Item]
) -> Response:
    """A page of a campaign's devices, as v2 and v3 have it."""
    found, options = found_upgrade(archive, campaign_id), archive.options
    look = found.look(archive.now)
    listing: Listing[int] = Listing(
        range(len(found.devices)),
        id_of=lambda index: found.devices[index],
        after=lambda cursor: position_after(found.devices, cursor),
        size=options.devices_per_page,
        integer_form="number",
    )
    page = listing.page(_device_cursor(request.args.get("lastSeenDeviceId", "0")), options)
    items = (item(look, index) for index in page.items)
    more = {"totalDevice": len(found.devices), "maxPageSize": options.devices_per_page}
    return answer(pages.envelope(page, items, DEVICES, options, **more))


def account_devices(
    archive: Archive, cursor: str, item: Callable[[str, Upgrade, float], Item]
) -> Response:
    """A page of the devices of an account, each as its newest upgrade left it."""
    v1, options = archive.version == "v1", archive.options
    batches = archive.catalogue.of_account(archive.version, archive.account)
    start = "0" if options.cursor_stands_still else _device_cursor(cursor)
    groups = [batch.devices for batch in batches]
    listing: Listing[str] = Listing(
        merged_after(groups, start, options.devices_per_page + 1),
        id_of=str,
        # What was merged begins behind the cursor.
        after=lambda _: 0,
        size=options.devices_per_page,
        form="number" if v1 else "text",
        integer_form="number",
    )
    page = listing.page(cursor, options)
    newest = archive.catalogue.of_device
    items = (
        item(device, newest(archive.version, archive.account, device)[0], archive.now)
        for device in page.items
    )
    more = {} if v1 else {"maxPageSize": options.devices_per_page}
    return answer(
        pages.envelope(page, items, DEVICES, options, accountName=archive.account, **more)
    )


def _device_cursor(text: str) -> str:
    """A device's id as a cursor, which may lack leading zeros. Raises ApiError: it is none."""
    if text and not re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", text):
        raise ApiError(replies.DEVICE_CURSOR)
    return text
