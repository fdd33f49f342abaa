"""The operations of the pages for people, for the OpenAPI document. Pure."""

from listener.messages.kinds import KIND_NAMES
from listener.ops.openapi_parts import (
    OBJECT,
    PROBLEM,
    STRING,
    Part,
    content_of,
    operation,
    path_parameter,
    query_parameter,
)

STATIC_FILES = ("page.css", "page.js", "search.js")
PARTITION = path_parameter("partition", {"type": "integer", "minimum": 0})
ENTRY_ID = path_parameter("entry_id", {**STRING, "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"})
ANY_ID: Part = {**STRING, "minLength": 1}
BEFORE = query_parameter(
    "before", "The position from which a search continues, as the page before links it."
)
OF_ANY_FORM = query_parameter("id", "In place of the path, where it has letters such as a slash.")
FILTERS = (
    query_parameter("device", "A device's id, in any spelling."),
    query_parameter("upgrade", "An upgrade's id, or its beginning."),
    query_parameter("kind", "A kind of message.", {"enum": ["", *KIND_NAMES]}),
    query_parameter("account", "The whole name."),
    query_parameter("id", "A message's id."),
    query_parameter("from", "A time such as 2026-11-12T08:00, an age such as 7d, or an entry id."),
    query_parameter("to", "As `from`."),
)
PAGE = content_of("A page.", "text/html", STRING)
FILE = content_of("A file.", "text/*", STRING)
REDIRECT: Part = {"description": "Leads to the page that is meant."}
DESCRIPTIONS = {
    "400": "A parameter has another form.",
    "404": "There is none.",
    "503": "Redis does not answer, or too many searches run.",
}


def page_operations(server: Part) -> dict[str, Part]:
    """The operations by path."""

    def page(summary: str, *parameters: Part, fails_with: str = "", **found: Part) -> Part:
        responses = {"200": PAGE, **{name.strip("_"): response for name, response in found.items()}}
        problems = {status: _problem(status) for status in fails_with.split()}
        return operation([server], summary, responses | problems, *parameters)

    entry = (PARTITION, ENTRY_ID)
    return {
        "/": page(
            "The status page.",
            query_parameter("chart", "How far back its chart goes: 15m, 3h or 24h."),
        ),
        "/messages": page("Messages, newest first.", *FILTERS, BEFORE, fails_with="400 503"),
        "/messages/{partition}/{entry_id}": page("A message.", *entry, fails_with="404 503"),
        "/devices": page(
            "A device, or the page to look for one.", OF_ANY_FORM, BEFORE, fails_with="400 404 503",
            _302=REDIRECT,
        ),
        "/devices/{device}": page(
            "What happened to a device.", path_parameter("device", ANY_ID), BEFORE,
            fails_with="400 404 503",
        ),
        "/upgrades": page("Upgrades, or one of them.", OF_ANY_FORM, BEFORE, fails_with="400 503"),
        "/upgrades/{upgrade}": page(
            "How far an upgrade is.", path_parameter("upgrade", ANY_ID), BEFORE,
            fails_with="400 404 503",
        ),
        "/search": operation(
            [server], "Finds the page of a device, an upgrade or a message.",
            {"302": REDIRECT, "503": _problem("503")},
            query_parameter("q", "The id."),
        ),
        "/dead": page(
            "Dead letters by error.", query_parameter("group", "Only this consumer group's."),
            fails_with="503",
        ),
        "/dead/{partition}/{entry_id}": page(
            "A dead letter.", *entry, query_parameter("group", "The consumer group's name."),
            fails_with="404 503",
        ),
        "/quarantine": page("Refused messages by reason.", fails_with="503"),
        "/quarantine/{entry_id}": page("A refused message.", ENTRY_ID, fails_with="404 503"),
        "/static/{filename}": operation(
            [server], "What the pages are made with.", {"200": FILE, "404": _problem("404")},
            path_parameter("filename", {"enum": [*STATIC_FILES]}),
        ),
    }  # fmt: skip


def _problem(status: str) -> Part:
    """A problem; a page for those who accept one."""
    problem = content_of(DESCRIPTIONS[status], PROBLEM, OBJECT)
    problem["content"]["text/html"] = {"schema": STRING}
    return problem
