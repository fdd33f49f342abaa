"""The OpenAPI document against the code: every route and every reason is in it, and no other; no secret is."""

import json
import re
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from listener.callback.app import create_app
from listener.errors import PROBLEM_TYPES
from listener.ops.app import create_ops_app
from listener.ops.openapi import openapi_document
from listener.queue.queue import MessageQueue
from listener.settings.settings import Settings

NOBODY = cast(MessageQueue, None)
OWN = "/"
SECRETS = {
    "CALLBACK_TOKEN": "planted-callback-token",
    "CALLBACK_TOKEN_PREVIOUS": "planted-callback-token-before",
    "CALLBACK_USERNAME": "planted-user",
    "CALLBACK_PASSWORD": "planted-password",
    "CALLBACK_PASSWORD_PREVIOUS": "planted-password-before",
    "REDIS_URL": "redis://planted-user:planted-redis@localhost/0",
}


def settings(**more: str) -> Settings:
    return Settings.from_env({"PUBLIC_URL": "https://fota.example.com/cb", **SECRETS, **more})


def described(**more: str) -> dict[str, Any]:
    return openapi_document(settings(**more))


def at(document: dict[str, Any], server: str) -> set[str]:
    """The paths of a server that answer GET."""
    return {
        path
        for path, methods in document["paths"].items()
        for found in methods.get("get", {}).get("servers", [])
        if found["url"] == server
    }


def body(document: dict[str, Any]) -> dict[str, Any]:
    operation = document["paths"]["/cb/{token}"]["post"]
    schema: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["schema"]
    return {**schema, "components": document["components"]}


def test_every_route_of_the_operating_port_is_described_and_no_other() -> None:
    app = create_ops_app(settings(), queue=NOBODY)
    # Of a parameter Flask writes <int:name>, OpenAPI {name}.
    routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}
    assert at(described(), OWN) == routes


def test_every_route_of_the_public_port_is_described_and_no_other() -> None:
    app = create_app(settings(), queue=NOBODY)
    # The route for all paths leads to the view, which knows its one path.
    routes = {rule.rule for rule in app.url_map.iter_rules()} - {"/<path:path>"}
    assert at(described(), "https://fota.example.com") == routes
    posts = {path for path, methods in described()["paths"].items() if "post" in methods}
    assert posts == {"/cb/{token}"}


def test_every_reason_is_described_with_its_status_and_no_other() -> None:
    responses = described()["paths"]["/cb/{token}"]["post"]["responses"]
    found: dict[str, int] = {}
    for status, response in responses.items():
        if status != "200":
            schema = response["content"]["application/problem+json"]["schema"]
            properties = schema["allOf"][1]["properties"]
            assert properties["status"] == {"const": int(status)}
            found |= dict.fromkeys(properties["reason"]["enum"], int(status))
    assert found == {reason: answer.status for reason, answer in PROBLEM_TYPES.items()}


def test_no_secret_is_in_it() -> None:
    assert "planted" not in json.dumps(described())


def test_its_schemas_are_well_formed_and_every_reference_leads_somewhere() -> None:
    found = described()
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = set(found["components"]["schemas"])
    for part in json.dumps(found).split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in names


@pytest.mark.parametrize(
    ("versions", "credentials", "right"),
    [
        ("v1", {}, False),
        ("v1", {"username": "a", "password": "b"}, True),
        ("v1", {"username": "a", "password": 1}, False),
        ("v1,v2", {}, True),
        ("v1,v2", {"username": "a"}, False),
    ],
)
def test_it_wants_credentials_where_the_endpoint_does(
    versions: str, credentials: dict[str, Any], right: bool
) -> None:
    schema = body(described(THINGSPACE_API_VERSIONS=versions))
    for message in ({"type": "upgradeScheduled", "upgradeScheduled": {}}, {"anything": 1}):
        assert Draft202012Validator(schema).is_valid({**message, **credentials}) is right
    misshapen = {"type": "upgradeScheduled", "upgradeScheduled": 1, **credentials}
    assert not Draft202012Validator(schema).is_valid(misshapen)


@pytest.mark.parametrize(
    ("public_url", "path"),
    [
        ("https://h.example", "/{token}"),
        ("https://h.example/a/", "/a/{token}"),
        ("https://h.example/a%20b/{x}", "/a%20b/%7Bx%7D/{token}"),
    ],
)
def test_the_path_is_a_template_whose_only_parameter_is_the_token(
    public_url: str, path: str
) -> None:
    assert path in described(PUBLIC_URL=public_url)["paths"]


def test_without_a_token_a_path_that_both_ports_have_keeps_both_methods() -> None:
    silent = Settings.from_env(
        {"PUBLIC_URL": "https://fota.example.com/metrics", "ALLOW_ANY_SENDER": "true"}
    )
    methods = openapi_document(silent)["paths"]["/metrics"]
    assert methods["get"]["servers"][0]["url"] == OWN
    assert methods["post"]["servers"][0]["url"] == "https://fota.example.com"
    assert [each["name"] for each in methods["post"]["parameters"]] == ["traceparent"]


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "DELETE"])
@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/healthz", "GET, HEAD"), ("/readyz", "GET, HEAD"), ("/cb/planted-callback-token", "POST")],
)
def test_a_method_that_is_not_described_is_refused_and_the_right_ones_are_told(
    path: str, allowed: str, method: str
) -> None:
    answer = create_app(settings(), queue=NOBODY).test_client().open(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
