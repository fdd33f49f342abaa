"""What both ports answer, as OpenAPI 3.1, made from the schemas, the reasons and the settings. Pure."""

from typing import Any
from urllib.parse import quote, urlsplit

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from listener import __version__
from listener.errors import PROBLEM_TYPES
from listener.messages import json_schemas
from listener.messages.kinds import KIND_NAMES
from listener.ops.response_schemas import ANSWERS, Alive, Kept, NotReady, Problem, Ready, Version
from listener.settings.parsers import TOKEN_PATTERN
from listener.settings.settings import Settings

Part = dict[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"
# What may stand in a path as it is; a brace would begin a parameter.
PLAIN_IN_A_PATH = "/:@!$&'()*+,;=~"
RETRY_AFTER: Part = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
ALLOW: Part = {"description": "The methods that there are.", "schema": {"type": "string"}}
CROSS_SITE = "At the operating port: a page of another site has a browser ask (Sec-Fetch-Site)."
MISDIRECTED = (
    "At the operating port: the Host is neither an IP address, localhost, nor in OPS_HOSTS."
)
OBJECT: Part = {"type": "object"}
HEADERS = {405: {"Allow": ALLOW}, 503: {"Retry-After": RETRY_AFTER}}


def document(settings: Settings) -> Part:
    """The description of both ports as they are with these settings. It holds no secret.

    A token shows as the path parameter `token`; credentials show by their members' names.
    """
    spec = APISpec(
        title="ThingSpace firmware callback listener",
        version=__version__,
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin()],
        info={"license": {"name": "MIT", "identifier": "MIT"}},
        jsonSchemaDialect=json_schemas.DIALECT,
    )
    for schema in ANSWERS:
        spec.components.schema(schema.__name__, schema=schema)
    for kind in KIND_NAMES:
        spec.components.schema(kind, json_schemas.schema_of(kind))
    # A path may be on both ports with different methods, so each method says where it is.
    for path, operation in _questions(settings).items():
        spec.path(path, operations={"get": operation})
    spec.path(callback_path(settings), operations={"post": _callback(settings)})
    return spec.to_dict()


def callback_path(settings: Settings) -> str:
    """The path at which messages are taken, as a template: with `{token}`, never the token."""
    path = quote(settings.path, safe=PLAIN_IN_A_PATH)
    return f"{path.rstrip('/')}/{{token}}" if settings.callback_token else path


def _callback(settings: Settings) -> Part:
    by_status: dict[int, list[str]] = {}
    for reason, answer in PROBLEM_TYPES.items():
        by_status.setdefault(answer.status, []).append(reason)
    refusals = {str(status): _refusal(status, *by_status[status]) for status in sorted(by_status)}
    return {
        "operationId": "receive",
        "summary": "Takes a message from ThingSpace.",
        "description": (
            "Any Content-Type will do. Another method is answered 405; another path, or a wrong "
            "token, 404. Which of the reasons can occur depends on the settings: unless accounts "
            "are set, for one, no account is refused."
        ),
        "servers": [_public(settings)],
        "parameters": [_token()] if settings.callback_token else [],
        "requestBody": {"required": True, "content": {JSON: {"schema": _body(settings)}}},
        "responses": {"200": _answer("The message is kept.", Kept), **refusals},
    }


def _token() -> Part:
    schema = {"type": "string", "pattern": f"^{TOKEN_PATTERN.pattern}$"}
    return _in_path("token", schema, "The secret CALLBACK_TOKEN, or the one before it.")


def _body(settings: Settings) -> Part:
    kinds: Part = {"anyOf": [_reference(kind) for kind in KIND_NAMES]}
    if settings.callback_password is None:
        return kinds
    names = ["username", "password"]
    credentials: Part = {"properties": {name: {"type": "string"} for name in names}}
    if settings.credentials_may_be_missing:
        credentials["dependentRequired"] = {"username": ["password"], "password": ["username"]}
    else:
        credentials["required"] = names
    return {"allOf": [kinds, credentials]}


def _refusal(status: int, *reasons: str) -> Part:
    """The answer of a status, with the reasons that it can have."""
    narrowed = {"properties": {"status": {"const": status}, "reason": {"enum": [*reasons]}}}
    return {
        "description": "\n".join(f"- `{name}`: {PROBLEM_TYPES[name].title}" for name in reasons),
        "headers": HEADERS.get(status, {}),
        "content": {PROBLEM: {"schema": {"allOf": [_reference(Problem.__name__), narrowed]}}},
    }


def _questions(settings: Settings) -> dict[str, Part]:
    """What answers GET, by path."""
    own: Part = {"url": "/", "description": "The operating port, where this document is."}
    both = [_public(settings), own]
    unready = _refusal(503, "queue-unavailable")
    unready["content"][JSON] = {"schema": _reference(NotReady.__name__)}
    text = {"schema": {"type": "string"}}
    html = _content("A page.", "text/html", text)
    nothing = _content("There is none.", PROBLEM, {"schema": OBJECT})
    questions: dict[str, Part] = {
        "/": _question([own], "The status page, for people.", {"200": html}),
        "/messages/{partition}/{entry_id}": _question(
            [own],
            "A message that is kept, for people.",
            {"200": html, "404": nothing},
            _in_path("partition", {"type": "integer", "minimum": 0}),
            _in_path("entry_id", {"type": "string", "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"}),
        ),
        "/static/{filename}": _question(
            [own],
            "What the pages are made with.",
            {"200": _content("A file.", "text/*", text), "404": nothing},
            _in_path("filename", {"enum": ["page.css", "page.js"]}),
        ),
        "/healthz": _question(both, "Is the process alive?", {"200": _answer("Yes.", Alive)}),
        "/readyz": _question(
            both,
            "Could a message be kept now? The public port says why not as a problem.",
            {"200": _answer("Yes, and where.", Ready), "503": unready},
        ),
        "/version": _question([own], "What runs here?", {"200": _answer("Versions.", Version)}),
        "/metrics": _question(
            [own],
            "What was counted, and the state of things now, for Prometheus.",
            {"200": _content("Metrics.", "text/plain", text)},
        ),
        "/openapi.json": _question(
            [own],
            "This document.",
            {"200": _content("OpenAPI 3.1.", JSON, {"schema": OBJECT})},
        ),
    }
    for question in questions.values():
        question["responses"]["403"] = _content(CROSS_SITE, PROBLEM, {"schema": OBJECT})
        question["responses"]["421"] = _content(MISDIRECTED, PROBLEM, {"schema": OBJECT})
    return questions


def _question(servers: list[Part], summary: str, responses: Part, *parameters: Part) -> Part:
    return {
        "summary": summary,
        "servers": servers,
        "parameters": [*parameters],
        "responses": responses,
    }


def _in_path(name: str, schema: Part, description: str = "") -> Part:
    found: Part = {"name": name, "in": "path", "required": True, "schema": schema}
    return {**found, "description": description} if description else found


def _public(settings: Settings) -> Part:
    url = urlsplit(settings.public_url or f"http://127.0.0.1:{settings.port}")
    return {"url": f"{url.scheme}://{url.netloc}", "description": "The public port."}


def _answer(description: str, schema: type[Schema]) -> Part:
    return _content(description, JSON, {"schema": _reference(schema.__name__)})


def _content(description: str, media_type: str, content: Part) -> Part:
    return {"description": description, "content": {media_type: content}}


def _reference(name: str) -> Part:
    return {"$ref": f"#/components/schemas/{name}"}
