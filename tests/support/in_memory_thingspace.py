"""ThingSpace in memory: a transport that answers as the provider does, for the registrar's unit tests."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from registrar.http.reply import Reply
from registrar.thingspace.requests import Call
from registrar.thingspace.transport import Transport

WRONG_PASSWORD = Reply(400, b'{"errorCode": "UnifiedWebService.INPUT_INVALID.Password.Invalid"}')
THROTTLED = Reply(429)


class InMemoryThingSpace(Transport):
    """One provider for all replicas of a test.

    Attributes:
        registered: the body of each registration, by account and version.
        calls: the names of the calls, in order.
        fault: answered to every call about registrations, if it is set.
        accepts_logins: whether the password is right.
    """

    def __init__(self) -> None:
        self.registered: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.fault: Reply | None = None
        self.accepts_logins = True

    def send(self, call: Call, headers: Mapping[str, str]) -> Reply:
        self.calls.append(call.name)
        if call.name == "token":
            return _reply({"access_token": f"token-{len(self.calls)}", "expires_in": 3600})
        if call.name == "login":
            session = _reply({"sessionToken": f"session-{len(self.calls)}"})
            return session if self.accepts_logins else WRONG_PASSWORD
        if call.name == "logout":
            return _reply({})
        return self.fault or self._call(call)

    def close(self) -> None:
        """There is no connection."""

    def writes(self) -> list[str]:
        """The calls that change a registration, in order."""
        return [name for name in self.calls if name in ("register", "deregister")]

    def url(self, account: str, version: str = "v1") -> str | None:
        """What is registered."""
        entry = self.registered.get((account, version))
        return str(entry["url"]) if entry else None

    def _call(self, call: Call) -> Reply:
        _, _, version, _, account, *_ = call.path.split("/")
        slot = unquote(account), version
        if call.method == "POST":
            self.registered[slot] = {"name": "Fota", **(call.json or {})}
        elif call.method == "DELETE":
            self.registered.pop(slot, None)
            return _reply({"success": True})
        entry = self.registered.get(slot)
        return _reply([{"aname": account, **entry}] if entry else [])


def _reply(content: object) -> Reply:
    return Reply(200, json.dumps(content).encode())
