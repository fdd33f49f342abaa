"""A request to the public port, as the endpoint sees it."""

import os
import re
from collections.abc import Mapping
from typing import Any

REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class Incoming:
    """What the endpoint asks of a WSGI environ, under names that a reader understands.

    Not Flask's request: making one, and its headers, takes longer than what the endpoint looks at.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """Takes the environ; nothing is looked at yet."""
        self._environ = environ
        self._request_id: str | None = None

    @property
    def method(self) -> str:
        """In capitals, as it was sent."""
        return str(self._environ["REQUEST_METHOD"])

    @property
    def path(self) -> str:
        """The whole path as it was sent, decoded; of several slashes none is left out."""
        raw: str = self._environ["PATH_INFO"]
        return raw if raw.isascii() else raw.encode("latin-1").decode(errors="replace")

    @property
    def announced(self) -> int | None:
        """The length of the body in bytes, if Content-Length tells it."""
        told: str | None = self._environ.get("CONTENT_LENGTH")
        return int(told) if told and told.isdecimal() else None

    @property
    def content_type(self) -> str:
        """The value of Content-Type; empty without one."""
        return self._environ.get("CONTENT_TYPE") or ""

    @property
    def body(self) -> Any:
        """A stream that ends where the body does, whether its length is announced or not."""
        return self._environ["wsgi.input"]

    @property
    def request_id(self) -> str:
        """X-Request-Id if it is fit for a log line, else one of our own: 32 hexadecimal digits, the same each time."""
        # Python 3.11's cached_property takes a lock each time, which costs as much as the rest of this.
        if self._request_id is None:
            given = self.header("X-Request-Id")
            fit = given and REQUEST_ID_FORM.fullmatch(given)
            self._request_id = given if given and fit else os.urandom(16).hex()
        return self._request_id

    @property
    def sender(self) -> str | None:
        """The address of the peer of the connection; of a Unix socket's there is none."""
        return self._environ.get("REMOTE_ADDR")

    @property
    def forwarded_for(self) -> list[str]:
        """The addresses in X-Forwarded-For, in the order of the header.

        An empty one counts: were it skipped, one that anybody can forge would move into its place.
        """
        header = self.header("X-Forwarded-For")
        return header.split(",") if header is not None else []

    @property
    def codings(self) -> tuple[str, str]:
        """The values of Content-Encoding and Transfer-Encoding."""
        return self.header("Content-Encoding") or "", self.header("Transfer-Encoding") or ""

    def header(self, name: str) -> str | None:
        """The value of a header; several of the same name are joined by commas."""
        found: str | None = self._environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return found
