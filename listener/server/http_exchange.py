"""One request and its answer under gunicorn: the WSGI environ that it makes, and the bytes that go back.

gunicorn's own way does the same for any application: hooks, an access line, answers in pieces. Here every answer
is whole when it is request_started, and goes out in one piece: one system call, one packet.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from typing import Any, NamedTuple

from gunicorn import util
from gunicorn.http.wsgi import FileWrapper

Headers = list[tuple[str, str]]

MAPPED = "::ffff:"
# PEP 3333's, the same for each request of a worker.
BASE: dict[str, Any] = {
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
    # The body ends by itself, whether its length was announced or not.
    "wsgi.input_terminated": True,
    "SERVER_SOFTWARE": "gunicorn",
    "SCRIPT_NAME": "",
}


class FrozenConfig:
    """gunicorn's settings, each looked up once: its own objects take a twentieth of a message's time."""

    def __init__(self, cfg: Any) -> None:
        """Takes gunicorn's `Config`, which does not change while a worker runs."""
        self._cfg = cfg

    def __getattr__(self, name: str) -> Any:
        """Called for what has not been looked up yet."""
        value = getattr(self._cfg, name)
        setattr(self, name, value)
        return value


def connection_environ(client: Any, address: Any) -> dict[str, str]:
    """What the environs of all requests of a connection have in common.

    Args:
        client: the peer's host and port; on a Unix socket an empty text.
        address: likewise of the listening socket, or its path.
    """
    names = {}
    names["REMOTE_ADDR"], names["REMOTE_PORT"] = _name(client)
    names["SERVER_NAME"], names["SERVER_PORT"] = _name(address)
    return names


def build_environ(request: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """The WSGI environ of a request.

    Header names come from the parser in capitals, and with no underscore in them, so no two
    different ones meet in one variable.

    Args:
        request: gunicorn's.
        names: of its connection.
    """
    major, minor = request.version
    environ = {
        **BASE,
        **names,
        "wsgi.errors": sys.stderr,
        "wsgi.input": request.body,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": util.unquote_to_wsgi_str(request.path),
        "QUERY_STRING": request.query,
        "RAW_URI": request.uri,
        "SERVER_PROTOCOL": f"HTTP/{major}.{minor}",
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


class Response(NamedTuple):
    """An answer as a WSGI application gives it: status line, headers, body."""

    status: str
    headers: Headers
    body: bytes

    def to_bytes(self, version: tuple[int, int], *, closes: bool) -> bytes:
        """The answer as HTTP.

        Args:
            version: of HTTP, as the client speaks it.
            closes: whether the connection ends then.

        Raises:
            ValueError: a header holds the end of a line.
        """
        headers = _with_length(self.headers, self.body)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if not lines.count("\r") == lines.count("\n") == len(headers):
            raise ValueError("a header holds the end of a line")
        major, minor = min(version, (1, 1))
        head = (
            f"HTTP/{major}.{minor} {self.status}\r\nServer: gunicorn\r\nDate: {_date()}\r\n"
            f"Connection: {'close' if closes else 'keep-alive'}\r\n{lines}\r\n"
        )
        return head.encode("latin-1") + self.body


def run_wsgi_app(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Response:
    """What a WSGI application answers, whole.

    Args:
        application: it must not use the `write` of PEP 3333, nor answer 1xx, 204 or 304.
        environ: of the request.

    Raises:
        Exception: whatever the application raises.
    """
    request_started: tuple[str, Headers] = ("500 Internal Server Error", [])

    def start_response(status: str, headers: Headers, _exc_info: object = None) -> None:
        nonlocal request_started
        request_started = status, headers

    parts = application(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()
    status, headers = request_started
    if environ["REQUEST_METHOD"] == "HEAD":
        # Its length as it would be with GET, and no body.
        headers, body = _with_length(headers, body), b""
    return Response(status, headers, body)


def _with_length(headers: Headers, body: bytes) -> Headers:
    if any(name.lower() == "content-length" for name, _ in headers):
        return headers
    return [*headers, ("Content-Length", str(len(body)))]


def _name(address: Any) -> tuple[str, str]:
    """Host and port; nothing of a Unix socket, and never what a Host header says."""
    if not isinstance(address, tuple):
        return "", ""
    host, port = address[:2]
    # As a socket of both families shows an IPv4 address.
    return host.removeprefix(MAPPED) if "." in host else host, str(port)


def _date() -> str:
    """Now, as HTTP wants it, made once a second."""
    now = int(time.time())
    if _last[0] != now:
        _last[:] = now, formatdate(now, usegmt=True)
    return str(_last[1])


_last: list[Any] = [0, ""]
