"""The page of all messages, with filters that stand in its address."""

from flask import request

from listener.inspection.search.backward_search import Limits
from listener.messages.kinds import KIND_NAMES
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.ops.status_page.search.how_far import how_far
from listener.ops.status_page.search.page_search import PAGE_ROWS
from listener.ops.status_page.search.rows import message_rows, shared_account
from listener.ops.status_page.search.search_request import filters_of, read_search


def messages_page(context: PageContext) -> str:
    """Messages that pass the filters, newest first."""
    with context.queue() as view:
        now = view.now()
        try:
            asked = read_search(request.args, now)
        except ValueError as problem:
            fail(
                400, "This cannot be searched for", str(problem), template="messages.html",
                texts=filters_of(request.args), kinds=KIND_NAMES,
            )  # fmt: skip
        result = context.search.run(
            view.client, view.partitions, asked.wanted,
            before=asked.before, limits=Limits(matches=PAGE_ROWS),
        )  # fmt: skip
        total = sum(stream.entries for stream in view.streams)
    far = how_far(
        result, before=asked.before, total=total, now=now, link=asked.link, matches=PAGE_ROWS,
        oldest=asked.wanted.oldest,
    )  # fmt: skip
    rows, is_continued = message_rows(result.entries), bool(request.args.get("before"))
    return render(
        "messages.html", now, headline="", texts=asked.texts, asked=asked, rows=rows, far=far,
        kinds=KIND_NAMES, is_continued=is_continued,
        account=shared_account(rows, far, is_continued=is_continued),
    )  # fmt: skip
