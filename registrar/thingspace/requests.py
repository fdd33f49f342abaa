"""The callback API as values: what to send for each version, and what the answers mean. Pure.

The paths and bodies are the provider's [doc, sdk]; v1 serves OMA-DM and LWM2M devices, v2 HTTP
devices, v3 network-aware LWM2M. Registering replaces whatever was registered before [doc].
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from listener.settings.secret import Secret
from registrar.http.reply import Reply
from registrar.model import Call, Registration, Slot
from registrar.thingspace.replies import check, says_nothing_registered, unreadable

# The one name of FOTA's callback service. [doc, sdk]
SERVICE_NAME = "Fota"


def query(slot: Slot) -> Call:
    """Asks what is registered."""
    return Call("query", "GET", _path(slot))


def register(slot: Slot, wanted: Registration) -> Call:
    """Registers, in place of whatever is there."""
    body = {"url": wanted.url}
    if slot.version == "v1":
        body = {"name": SERVICE_NAME, **body}
        if wanted.username is not None and wanted.password is not None:
            body |= {"username": wanted.username, "password": wanted.password.reveal()}
    return Call("register", "POST", _path(slot), json=body)


def deregister(slot: Slot) -> Call:
    """Removes whatever is registered: it names no URL, so look first. [doc]"""
    name = f"/name/{SERVICE_NAME}" if slot.version == "v1" else ""
    return Call("deregister", "DELETE", _path(slot) + name)


def read(reply: Reply) -> Registration | None:
    """What a query found; None: nothing is registered.

    Accepts, for every version, a list or a bare object, and for nothing: no body, 204, `null`, `[]`,
    `{}`, an empty URL or none [?], a list of other services only, and each error that says so [?].

    Raises:
        RegistrarError: the provider refused, cannot answer, or answered something else. A page of
            HTML with status 200 is not taken for "nothing registered".
    """
    if says_nothing_registered(reply):
        return None
    check(reply)
    if reply.status == 204 or not reply.text:
        return None
    try:
        content = reply.json()
    except ValueError as error:
        raise unreadable(reply) from error
    entries = content if isinstance(content, list) else [content]
    found = [entry for entry in entries if _is_ours_to_read(entry, reply)]
    return _registration(found[0], reply) if found else None


def confirm(reply: Reply) -> None:
    """Accepts the answer to a registration or deregistration.

    Any 2xx will do: the documentation's examples disagree with themselves (the account in one is
    another than the account asked for), and the caller looks afterwards what is registered.

    Raises:
        RegistrarError: as for `read`.
    """
    check(reply)


def confirm_removal(reply: Reply) -> None:
    """Accepts the answer to a deregistration; that there was nothing to remove is as good. Raises as `read`."""
    if not says_nothing_registered(reply):
        check(reply)


def finds_nothing(call: Call, reply: Reply) -> bool:
    """Whether the answer to a query or a deregistration is an error that says: nothing is registered."""
    return call.method != "POST" and says_nothing_registered(reply)


def _path(slot: Slot) -> str:
    return f"/fota/{slot.version}/callbacks/{quote(slot.account, safe='')}"


def _is_ours_to_read(entry: Any, reply: Reply) -> bool:
    if entry is None or entry in ({}, ""):
        return False
    if not isinstance(entry, dict):
        raise unreadable(reply)
    # A tuple, because what cannot be hashed may stand there as well.
    return entry.get("name") in (None, SERVICE_NAME)


def _registration(entry: Mapping[str, Any], reply: Reply) -> Registration | None:
    # The service's own entry without a URL says that it has none; anything else without one is no answer.
    url = entry.get("url", "" if entry.keys() & {"name", "aname"} else 0)
    if url in (None, ""):
        return None
    if not isinstance(url, str):
        raise unreadable(Reply(reply.status))
    username, password = entry.get("username"), entry.get("password")
    return Registration(
        # Half a surrogate pair, which JSON may hold, could be neither stored nor logged.
        url=url.encode(errors="replace").decode(),
        username=username if isinstance(username, str) and username else None,
        password=Secret(password) if isinstance(password, str) and password else None,
    )
