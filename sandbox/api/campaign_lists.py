"""The list of campaigns in one status, which v2 and v3 have in common."""

from bisect import bisect_right
from collections.abc import Callable

from flask import Response, request

from sandbox.api.reports import Item, answer
from sandbox.campaigns.stages import Stage
from sandbox.campaigns.upgrade import Upgrade
from sandbox.reports import pages
from sandbox.reports.archive import Archive
from sandbox.reports.pages import Listing

CAMPAIGNS = {"more": "hasMoreData", "cursor": "lastSeenCampaignId", "items": "campaignList"}


def campaigns_page(archive: Archive, stage: Stage, item: Callable[[Upgrade], Item]) -> Response:
    """A page of the campaigns whose ids are greater than the cursor. [doc]"""
    found = archive.in_stage(stage)
    listing = Listing(
        found,
        id_of=lambda each: each.id,
        after=lambda cursor: bisect_right(found, cursor, key=lambda each: each.id),
        size=archive.options.campaigns_per_page,
    )
    page = listing.page(request.args.get("lastSeenCampaignId", "0"), archive.options)
    return answer(pages.envelope(page, map(item, page.items), CAMPAIGNS, archive.options))
