"""A request to the public port, as the endpoint sees it."""

import os
import re

from flask import Request
from werkzeug.utils import cached_property

REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class Incoming(Request):
    """Flask's request, with what only this service asks of one."""

    @cached_property
    def request_id(self) -> str:
        """X-Request-Id if it is fit for a log line, else one of our own: 32 hexadecimal digits."""
        given = self.environ.get("HTTP_X_REQUEST_ID", "")
        return given if REQUEST_ID_FORM.fullmatch(given) else os.urandom(16).hex()

    @property
    def whole_path(self) -> str:
        """The path as it was sent, decoded: Werkzeug's own takes several slashes at the beginning for one."""
        raw: str = self.environ["PATH_INFO"]
        return raw if raw.isascii() else raw.encode("latin-1").decode(errors="replace")

    @property
    def forwarded_for(self) -> list[str]:
        """The addresses in X-Forwarded-For, in the order of the header.

        An empty one counts: were it skipped, one that anybody can forge would move into its place.
        """
        header: str | None = self.environ.get("HTTP_X_FORWARDED_FOR")
        return header.split(",") if header is not None else []

    @property
    def codings(self) -> tuple[str, str]:
        """The values of Content-Encoding and Transfer-Encoding."""
        found = self.environ.get
        return found("HTTP_CONTENT_ENCODING", ""), found("HTTP_TRANSFER_ENCODING", "")
