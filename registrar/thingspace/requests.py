"""What to send to ThingSpace: the callback API of each version, and the two logins. Pure.

The paths and bodies are the provider's [doc, sdk]; v1 serves OMA-DM and LWM2M devices, v2 HTTP devices,
v3 network-aware LWM2M. Registering replaces whatever was registered before [doc].
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from listener.settings.secret import Secret
from registrar.model import Credentials, Registration, ServiceName, Slot


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        name: what it is for, to people and to metrics.
        method: of HTTP.
        path: begins after the API's base.
        json: the body, if it is JSON.
        form: the body, if it is a form.
    """

    name: str
    method: str
    path: str
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)


def query(slot: Slot) -> Call:
    """Asks what is registered."""
    return Call("query", "GET", _path(slot))


def register(slot: Slot, wanted: Registration, service: ServiceName = ServiceName.FOTA) -> Call:
    """Registers, in place of whatever is registered.

    Only v1 names the service, and takes a username and a password. [doc]
    """
    body = {"url": wanted.url}
    if slot.version == "v1":
        body = {"name": service.value, **body}
        if wanted.username is not None and wanted.password is not None:
            body |= {"username": wanted.username, "password": wanted.password.reveal()}
    return Call("register", "POST", _path(slot), json=body)


def deregister(slot: Slot, service: ServiceName = ServiceName.FOTA) -> Call:
    """Removes whatever is registered. It names no URL, so query first. [doc]"""
    name = f"/name/{service.value}" if slot.version == "v1" else ""
    return Call("deregister", "DELETE", _path(slot) + name)


def token() -> Call:
    """Asks for a bearer token."""
    return Call("token", "POST", "/ts/v1/oauth2/token", form={"grant_type": "client_credentials"})


def login(credentials: Credentials) -> Call:
    """Asks for a session."""
    body = {
        "username": credentials.username.reveal(),
        "password": credentials.password.reveal(),
    }
    return Call("login", "POST", "/m2m/v1/session/login", json=body)


def logout() -> Call:
    """Ends the session."""
    return Call("logout", "POST", "/m2m/v1/session/logout", json={})


def basic_auth(credentials: Credentials) -> Mapping[str, str]:
    """The header of a token request: the application's key and secret."""
    pair = f"{credentials.key.reveal()}:{credentials.secret.reveal()}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def token_auth(bearer: Secret, session: Secret | None = None) -> Mapping[str, str]:
    """The headers of every other request: the bearer and, but at the login, the session. [doc]"""
    headers = {"Authorization": f"Bearer {bearer.reveal()}"}
    return headers if session is None else {**headers, "VZ-M2M-Token": session.reveal()}


def _path(slot: Slot) -> str:
    return f"/fota/{slot.version}/callbacks/{quote(slot.account, safe='')}"
