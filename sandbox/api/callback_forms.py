"""Callback registrations as the API's three versions take and give them: pure functions."""

import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox import provider_facts, replies
from sandbox.accounts.registrations import Login, Registration
from sandbox.provider_facts import Version
from sandbox.replies import ApiError, Reply
from sandbox.settings import EmptyForm, Settings

_EMPTY: Mapping[EmptyForm, Reply] = {
    "zero-bytes": Reply(200),
    "null": Reply(200, "null"),
    "list": Reply(200, "[]"),
    "object": Reply(200, "{}"),
    "no-content": Reply(204),
    "not-found": replies.NOT_FOUND,
    "not-found-empty": Reply(404),
    "not-registered-403": replies.NOT_REGISTERED,
    "not-registered-400": replies.NOT_REGISTERED_400,
}


def json_object(raw: bytes) -> dict[str, Any] | None:
    """A body's JSON object, whatever its content type; None: it is empty, or something else."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def check_account(account: str, known: Collection[str]) -> None:
    """Accepts a known account, whatever its form: the documented one is only the usual one. [doc]

    Raises:
        ApiError: it is not among those known.
    """
    if account in known:
        return
    if not provider_facts.ACCOUNT.fullmatch(account):
        raise ApiError(replies.ACCOUNT_FORMAT)
    raise ApiError(replies.UNKNOWN_ACCOUNT)


def check_service(name: object) -> None:
    """Accepts FOTA's one service name. [doc]

    Raises:
        ApiError: it is another, or none.
    """
    if name != provider_facts.SERVICE_NAME:
        raise ApiError(replies.SERVICE_NAME)


def parse(version: Version, body: Mapping[str, Any], *, allow_http: bool) -> Registration:
    """The registration that a body asks for; what v2 and v3 have no use for is ignored [?].

    Raises:
        ApiError: the service's name is wrong, or the URL is none or not of an allowed scheme.
    """
    if version != "v1":
        return Registration(_url(body, http=allow_http))
    check_service(body.get("name"))
    # [doc] v1 does not forbid http.
    return Registration(
        _url(body, http=True), Login(_text(body, "username"), _text(body, "password"))
    )


def query_reply(
    settings: Settings, version: Version, account: str, registration: Registration | None
) -> Reply:
    """[doc, sdk] v1: a list, in one older description a bare object; login in clear. Else `{url}`."""
    if registration is None:
        return _empty(settings.empty, version)
    if version != "v1":
        return Reply(200, json.dumps({"url": registration.url}))
    entry = {"aname": account, "name": provider_facts.SERVICE_NAME, "url": registration.url}
    entry |= {name: value for name, value in vars(registration.login).items() if value is not None}
    return Reply(200, json.dumps([entry] if settings.v1_query == "list" else entry))


def removed_reply(settings: Settings, *, removed: bool) -> Reply:
    """[doc, sdk] What DELETE answers. That it succeeds where nothing was is [?]: see `--empty`."""
    if not removed and settings.empty != "by-version" and not (reply := _EMPTY[settings.empty]).ok:
        return reply
    return Reply(200, json.dumps({"success": True}))


def written_reply(version: Version, account: str, url: str) -> Reply:
    """[doc, sdk] What POST and PUT answer."""
    if version == "v1":
        return Reply(
            200, json.dumps({"accountName": account, "serviceName": provider_facts.SERVICE_NAME})
        )
    return Reply(200, json.dumps({"url": url}))


def _empty(form: EmptyForm, version: Version) -> Reply:
    """[doc] Nothing registered is an empty body with status 200; its exact form is [?]."""
    if form != "by-version":
        return _EMPTY[form]
    return _EMPTY["list" if version == "v1" else "object"]


def _url(body: Mapping[str, Any], *, http: bool) -> str:
    url = body.get("url")
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
        valid = valid and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ApiError(replies.URL)
    if parts.scheme == "http" and not http:
        raise ApiError(replies.URL_SCHEME)
    return str(url)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else str(value)
