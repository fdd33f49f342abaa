"""The routes of the pages that search."""

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from listener.ops.status_page.page_context import PageContext
from listener.ops.status_page.search.device_page import device_page
from listener.ops.status_page.search.messages_page import messages_page
from listener.ops.status_page.search.search_box import find_page
from listener.ops.status_page.search.upgrade_pages import upgrade_page, upgrades_page


def add_search_pages(blueprint: Blueprint, context: PageContext) -> None:
    """Adds the routes. An id that cannot stand in a path is the parameter `id`."""

    @blueprint.get("/messages")
    def messages() -> str:
        return messages_page(context)

    @blueprint.get("/devices")
    @blueprint.get("/devices/<path:device>", merge_slashes=False)
    def device(device: str = "") -> str | Response:
        text = device or request.args.get("id", "")
        return device_page(context, text) if text else redirect("/messages")

    @blueprint.get("/upgrades")
    @blueprint.get("/upgrades/<path:upgrade>", merge_slashes=False)
    def upgrade(upgrade: str = "") -> str:
        text = upgrade or request.args.get("id", "")
        return upgrade_page(context, text) if text else upgrades_page(context)

    @blueprint.get("/search")
    def search() -> Response:
        return redirect(find_page(context, request.args.get("q", "")))
