"""`/openapi.json`: describes both ports in OpenAPI 3.1, made of the kinds of messages, the problem types and the settings. Pure."""

from typing import get_args
from urllib.parse import quote, urlsplit

from apispec import APISpec

from listener import __version__
from listener.errors import PROBLEM_TYPES
from listener.messages import json_schemas
from listener.messages.kinds import KIND_NAMES
from listener.ops.openapi_pages import page_operations
from listener.ops.openapi_parts import (
    JSON,
    OBJECT,
    PROBLEM,
    STRING,
    Part,
    content_of,
    json_content,
    operation,
    path_parameter,
    reference,
)
from listener.queue.queue import StoredIn
from listener.settings.parsers import TOKEN_PATTERN
from listener.settings.settings import Settings

# The characters that a path may have unquoted; a brace would begin a parameter.
SAFE_IN_PATH = "/:@!$&'()*+,;=~"
RETRY_AFTER: Part = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
ALLOW: Part = {"description": "The methods that there are.", "schema": {"type": "string"}}
CROSS_SITE = "At the operating port: a page of another site has a browser ask (Sec-Fetch-Site)."
MISDIRECTED = (
    "At the operating port: the Host is neither an IP address, localhost, nor in OPS_HOSTS."
)
# No pattern: a header that is not well-formed is ignored.
TRACEPARENT_PARAMETER: Part = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "W3C Trace Context; one that is well-formed is kept in the entry.",
    "schema": STRING,
}
HEADERS_BY_STATUS = {405: {"Allow": ALLOW}, 503: {"Retry-After": RETRY_AFTER}}


def _object(**properties: Part) -> Part:
    """The schema of an object with exactly these members."""
    required = sorted(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _enum(*texts: str) -> Part:
    return {**STRING, "enum": [*texts]}


RESPONSE_SCHEMAS = {
    "Kept": _object(
        id={
            **STRING,
            "pattern": "^[0-9a-f]{32}$",
            "description": "The same content has the same id.",
        },
        duplicate={"type": "boolean", "description": "Whether it was there already."},
    ),
    # RFC 9457.
    "Problem": _object(
        type=_enum("about:blank"),
        title=STRING,
        status={"type": "integer"},
        reason=_enum(*PROBLEM_TYPES),
    ),
    "Alive": _object(status=_enum("alive")),
    "Ready": _object(status=_enum("ready"), keeper=_enum(*get_args(StoredIn))),
    # At the operating port; the public one responds with a problem.
    "NotReady": _object(
        status=_enum("not-ready"), reason=_enum("queue-unavailable"), detail=STRING
    ),
    "Version": _object(
        name=STRING,
        version=STRING,
        commit={"type": ["string", "null"]},
        python=STRING,
        libraries={"type": "object", "additionalProperties": STRING},
    ),
}


def openapi_document(settings: Settings) -> Part:
    """The description of both ports with these settings.

    It holds no secret: the token stands as the path parameter `token`, and the credentials as the names of
    their members.
    """
    spec = APISpec(
        title="ThingSpace firmware callback listener",
        version=__version__,
        openapi_version="3.1.0",
        info={"license": {"name": "MIT", "identifier": "MIT"}},
        jsonSchemaDialect=json_schemas.DIALECT,
    )
    schemas = RESPONSE_SCHEMAS | {kind: json_schemas.schema_of(kind) for kind in KIND_NAMES}
    for name, schema in schemas.items():
        spec.components.schema(name, schema)
    # Both ports may have the same path with different methods, so each operation names its servers.
    for path, described in _get_operations(settings).items():
        spec.path(path, operations={"get": described})
    spec.path(_callback_path(settings), operations={"post": _post_operation(settings)})
    return spec.to_dict()


def _callback_path(settings: Settings) -> str:
    """The path that receives messages, as a template: with `{token}`, never the token."""
    path = quote(settings.path, safe=SAFE_IN_PATH)
    return f"{path.rstrip('/')}/{{token}}" if settings.callback_token else path


def _post_operation(settings: Settings) -> Part:
    by_status: dict[int, list[str]] = {}
    for reason, problem_type in PROBLEM_TYPES.items():
        by_status.setdefault(problem_type.status, []).append(reason)
    problems = {str(status): _problem(status, *by_status[status]) for status in sorted(by_status)}
    return {
        "operationId": "receive",
        "summary": "Takes a message from ThingSpace.",
        "description": (
            "Any Content-Type will do. Another method is answered 405; another path, or a wrong "
            "token, 404. Which of the reasons can occur depends on the settings: unless accounts "
            "are set, for one, no account is refused."
        ),
        "servers": [_public_server(settings)],
        "parameters": [
            *([_token_parameter()] if settings.callback_token else []),
            TRACEPARENT_PARAMETER,
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": _body_schema(settings)}}},
        "responses": {"200": json_content("The message is kept.", "Kept"), **problems},
    }


def _token_parameter() -> Part:
    schema = {"type": "string", "pattern": f"^{TOKEN_PATTERN.pattern}$"}
    return path_parameter("token", schema, "The secret CALLBACK_TOKEN, or the one before it.")


def _body_schema(settings: Settings) -> Part:
    kinds: Part = {"anyOf": [reference(kind) for kind in KIND_NAMES]}
    if settings.callback_password is None:
        return kinds
    names = ["username", "password"]
    credentials: Part = {"properties": dict.fromkeys(names, STRING)}
    if settings.credentials_may_be_missing:
        credentials["dependentRequired"] = {"username": ["password"], "password": ["username"]}
    else:
        credentials["required"] = names
    return {"allOf": [kinds, credentials]}


def _problem(status: int, *reasons: str) -> Part:
    """The response of a status, with its possible reasons."""
    narrowed = {"properties": {"status": {"const": status}, "reason": {"enum": [*reasons]}}}
    return {
        "description": "\n".join(f"- `{name}`: {PROBLEM_TYPES[name].title}" for name in reasons),
        "headers": HEADERS_BY_STATUS.get(status, {}),
        "content": {PROBLEM: {"schema": {"allOf": [reference("Problem"), narrowed]}}},
    }


def _get_operations(settings: Settings) -> dict[str, Part]:
    """The operations of GET, by path."""
    operating: Part = {"url": "/", "description": "The operating port, where this document is."}
    both = [_public_server(settings), operating]
    not_ready = _problem(503, "queue-unavailable")
    not_ready["content"][JSON] = {"schema": reference("NotReady")}
    operations: dict[str, Part] = {
        **page_operations(operating),
        "/healthz": operation(
            both, "Is the process alive?", {"200": json_content("Yes.", "Alive")}
        ),
        "/readyz": operation(
            both,
            "Could a message be kept now? The public port says why not as a problem.",
            {"200": json_content("Yes, and where.", "Ready"), "503": not_ready},
        ),
        "/version": operation(
            [operating], "What runs here?", {"200": json_content("Versions.", "Version")}
        ),
        "/metrics": operation(
            [operating],
            "What was counted, and the state of things now, for Prometheus.",
            {"200": content_of("Metrics.", "text/plain", STRING)},
        ),
        "/openapi.json": operation(
            [operating],
            "This document.",
            {"200": content_of("OpenAPI 3.1.", JSON, OBJECT)},
        ),
    }
    for described in operations.values():
        described["responses"]["403"] = content_of(CROSS_SITE, PROBLEM, OBJECT)
        described["responses"]["421"] = content_of(MISDIRECTED, PROBLEM, OBJECT)
    return operations


def _public_server(settings: Settings) -> Part:
    url = urlsplit(settings.public_url or f"http://127.0.0.1:{settings.port}")
    return {"url": f"{url.scheme}://{url.netloc}", "description": "The public port."}
