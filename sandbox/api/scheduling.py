"""The calls that schedule and cancel upgrades, as the public SDK makes them. [sdk]

What they plan runs its course at once and at the chosen pace, whatever dates were asked for.
"""

from typing import Any

from flask import Response

from sandbox import replies
from sandbox.api.blueprint import api, authorize, json_object
from sandbox.api.reports import answer, begin, found_upgrade
from sandbox.campaigns.stages import ENDS, Stage
from sandbox.campaigns.upgrade import Upgrade
from sandbox.courses.schedule import parse
from sandbox.provider_facts import Version
from sandbox.replies import ApiError
from sandbox.reports import v1, v2, v3
from sandbox.state import state


@api.post("/fota/v1/upgrades")
def schedule_v1() -> Response:
    """[doc, sdk] Schedules an upgrade; the account stands in the body."""
    body = json_object(replies.EMPTY_BODY)
    return _schedule_v1(str(body.get("accountName", "")), body)


@api.post("/fota/v1/upgrades/<account>")
def schedule_v1_of_account(account: str) -> Response:
    """[?] The same with the account in the path, where v1's other calls have it."""
    return _schedule_v1(account, json_object(replies.EMPTY_BODY))


@api.delete("/fota/v1/upgrades/<account>/upgrade/<upgrade_id>")
def cancel_v1(account: str, upgrade_id: str) -> Response:
    """[doc, sdk] Cancels an upgrade. What becomes of its reports is [?]: here it disappears from them."""
    return _cancel("v1", account, upgrade_id)


@api.post("/fota/v2/campaigns/<account>")
def schedule_v2(account: str) -> Response:
    """[doc, sdk] Schedules a campaign."""
    return _schedule_v2(account)


@api.post("/fota/v2/campaigns/<any(software, files):_>/<account>")
def schedule_v2_by_type(account: str, _: str) -> Response:
    """[sdk] Schedules a campaign; one for files has `fileName` and `fileVersion` in the software's place."""
    return _schedule_v2(account)


@api.post("/fota/v3/campaigns/firmware/<account>")
def schedule_v3(account: str) -> Response:
    """[doc, sdk] Schedules a campaign."""
    upgrade = _schedule("v3", account, json_object(replies.EMPTY_BODY))
    options = state().report_options.get()
    return answer(v3.campaign(upgrade, state().clock(), options))


@api.delete("/fota/v2/campaigns/<account>/<campaign_id>")
def cancel_v2(account: str, campaign_id: str) -> Response:
    """[doc, sdk] Cancels a campaign that has not started."""
    return _cancel("v2", account, campaign_id)


@api.delete("/fota/v3/campaigns/<account>/<campaign_id>")
def cancel_v3(account: str, campaign_id: str) -> Response:
    """[doc, sdk] Cancels a campaign that has not started."""
    return _cancel("v3", account, campaign_id)


def _schedule_v1(account: str, body: dict[str, Any]) -> Response:
    upgrade = _schedule("v1", account, body)
    return answer(v1.upgrade(upgrade, state().clock(), state().report_options.get()))


def _schedule_v2(account: str) -> Response:
    upgrade = _schedule("v2", account, json_object(replies.EMPTY_BODY))
    return answer(v2.campaign(upgrade, state().clock()))


def _schedule(version: Version, account: str, body: dict[str, Any]) -> Upgrade:
    authorize(account)
    plan, devices = parse(version, account, body, state().report_options.get())
    return state().campaigns.schedule(plan, devices).upgrades[0]


def _cancel(version: Version, account: str, upgrade_id: str) -> Response:
    """[doc] An upgrade that has already started cannot be cancelled."""
    archive = begin(version, account)
    upgrade = found_upgrade(archive, upgrade_id)
    if upgrade.look(archive.now).stage in {Stage.UNDER_WAY, *ENDS}:
        raise ApiError(replies.STARTED)
    upgrade.stopped = upgrade.position(archive.now)
    return answer({"success": True})
