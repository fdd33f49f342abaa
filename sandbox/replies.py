"""Every shape of the provider's errors, and the exception that carries one to the caller.

`SHAPES` names every shape, so that the fault injector can answer with any of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox import provider_facts

_JSON = "application/json"
_SESSION = "UnifiedWebService."


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as a value."""

    status: int
    body: str = ""
    content_type: str = _JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.status < 300


class ApiError(Exception):
    """A call is refused; `reply` is what the caller gets."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


def _json(status: int, value: Any) -> Reply:
    return Reply(status, json.dumps(value))


def fota_error(code: str, message: str, status: int = 400) -> Reply:
    """FOTA's and the session API's form. [doc, sdk]"""
    return _json(status, {"errorCode": code, "errorMessage": message})


def invalid_parameter(message: str) -> Reply:
    """FOTA has one code for different problems; the message tells them apart. [doc]"""
    return fota_error("INVALID_PARAMETER", message)


def gateway_fault(status: int, code: str | int, message: str, description: str) -> Reply:
    """The gateway's form. [doc] Codes come as strings and as numbers. Which come how is [?]."""
    return _json(status, {"fault": {"code": code, "message": message, "description": description}})


def oauth_error(status: int, error: str, description: str) -> Reply:
    """The token endpoint's form. [doc, sdk]"""
    return _json(status, {"error": error, "error_description": description})


# [doc] The two messages that the provider's list explains.
EMPTY_BODY = invalid_parameter("Input binding error")
ACCOUNT_FORMAT = invalid_parameter("Invalid account name format")
# [?] The provider lists this message, and does not say when it comes.
UNKNOWN_ACCOUNT = invalid_parameter("Inactive account")
# [?] That these are refused is documented; how they are worded is not.
SERVICE_NAME = invalid_parameter(
    f"Invalid callback name: only {provider_facts.SERVICE_NAME} is served"
)
URL = invalid_parameter("Invalid callback URL")
URL_SCHEME = invalid_parameter("Invalid callback URL: https is required")

# [doc] The messages are in the provider's list; which call answers them when is [?].
INDEX = invalid_parameter("Invalid index value")
INDEX_BEYOND_END = invalid_parameter("Index exceeds number of devices in list")
DEVICE_CURSOR = invalid_parameter("LastSeenDeviceId Not Valid")
UPGRADE_ID = invalid_parameter("Invalid upgradeId")
CAMPAIGN_ID = invalid_parameter("Invalid uuid")
# [?] That other words are refused is a guess, and so are the words of these.
STATUS = invalid_parameter("Invalid status")
NO_RESULT = invalid_parameter("No records found")
DEVICES = invalid_parameter("Invalid device list")
PACKAGE = invalid_parameter("Invalid firmware or software name")
DATES = invalid_parameter("Invalid date")
STARTED = invalid_parameter("The upgrade has already started")

MISSING_BASIC = gateway_fault(
    401, "900902", "Missing Credentials", "No Basic credentials came with the token request."
)
MISSING_BEARER = gateway_fault(
    401, 900902, "Missing Credentials", "No bearer token came with the request."
)
INVALID_BEARER = gateway_fault(
    401, "900901", "Invalid Credentials", "The bearer token is wrong or has expired."
)
NO_RESOURCE = gateway_fault(
    400, 900906, "No matching resource found in the API for the given request", "No such path."
)

INVALID_CLIENT = oauth_error(401, "invalid_client", "The application key or secret is wrong.")
GRANT_TYPE = oauth_error(400, "invalid_request", "Missing grant_type parameter value")

# [doc] on a sibling API; what FOTA itself answers is [?].
SESSION_EXPIRED = fota_error(
    f"{_SESSION}REQUEST_FAILED.SessionToken.Expired", "The session token has expired."
)
SESSION_INVALID = fota_error(
    f"{_SESSION}INPUT_INVALID.SessionToken.Invalid", "The session token is invalid."
)
# [doc] for a blank request to the session API.
BLANK_LOGIN = fota_error(f"{_SESSION}INPUT_INVALID.RequestUndefined", "Request cannot be blank.")
# [?] The lock itself is documented, its answer is not.
LOCKED = fota_error(f"{_SESSION}REQUEST_FAILED.Account.Locked", "The account is locked.")


# [?] What a dead session is answered by FOTA itself: one of the ways in which nobody would expect it.
SESSION_UNKNOWN_CODE = fota_error("REQUEST_FAILED", "The request could not be processed.")

# [doc] on a sibling API, as a 403; how FOTA says that nothing is registered is [?].
NOT_REGISTERED = fota_error("CALLBACK_NOT_REGISTERED", "No callback is registered.", 403)
NOT_REGISTERED_400 = invalid_parameter("Callback is not registered")
NOT_FOUND = fota_error("RESOURCE_NOT_FOUND", "The resource was not found.", 404)


def throttled(status: int, next_access: str) -> Reply:
    """The gateway's form, with the time from which on it lets the caller in again. [doc: WSO2]"""
    throttling = {
        "code": 900800,
        "message": "Message throttled out",
        "description": "Quota exceeded",
    }
    return _json(status, {"fault": {**throttling, "nextAccessTime": next_access}})


def wrong_password(status: int) -> Reply:
    """[seen] in another listener's tests, as a 400 and as a 401, not live."""
    return fota_error(
        f"{_SESSION}INPUT_INVALID.Password.Invalid", "The password is invalid.", status
    )


_XML = (
    '<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>404</am:code>'
    "<am:type>Status report</am:type><am:message>Not Found</am:message>"
    "<am:description>The requested resource is not available.</am:description></am:fault>"
)


def _html_page(status: int, title: str, **headers: str) -> Reply:
    """What a proxy in between answers: a page for people."""
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>"
    header_names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, body, "text/html; charset=utf-8", header_names)


SHAPES: Mapping[str, Reply] = {
    "fota-account-format": ACCOUNT_FORMAT,
    "fota-input-binding": EMPTY_BODY,
    "session-expired": SESSION_EXPIRED,
    "session-invalid": SESSION_INVALID,
    # [seen] A 401 for a dead session. What its body was is [?]: one with a code, and none.
    "session-unauthorized": Reply(401, SESSION_EXPIRED.body),
    "session-unauthorized-empty": Reply(401),
    "session-unknown-code": SESSION_UNKNOWN_CODE,
    "not-registered": NOT_REGISTERED,
    "not-registered-400": NOT_REGISTERED_400,
    "not-found": NOT_FOUND,
    "not-found-empty": Reply(404),
    "gateway-no-resource-404": Reply(404, NO_RESOURCE.body),
    "gateway-invalid-credentials": INVALID_BEARER,
    "gateway-missing-credentials": MISSING_BEARER,
    "gateway-no-resource": NO_RESOURCE,
    # [doc] A 403 that is XML, and whose own code says 404.
    "gateway-forbidden-xml": Reply(403, _XML, "application/xml"),
    "oauth-invalid-client": INVALID_CLIENT,
    "oauth-invalid-client-400": Reply(400, INVALID_CLIENT.body),
    "login-refused": wrong_password(400),
    "login-unauthorized": wrong_password(401),
    "login-locked": LOCKED,
    "html-bad-gateway": _html_page(502, "502 Bad Gateway"),
    "html-unavailable": _html_page(503, "503 Service Unavailable", Retry_After="5"),
    "html-ok": _html_page(200, "Scheduled maintenance"),
    "throttled": Reply(429, headers={"Retry-After": "1"}),
    "empty-500": Reply(500),
}
