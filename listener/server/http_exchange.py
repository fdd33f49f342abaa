"""The WSGI environ of a request, and the bytes of a response.

Unlike gunicorn's own, a response is sent whole, in one system call, and no header decides about the
environ's SERVER_PORT, by which requests reach the operating port.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from listener.server.request_head import RequestHead

Headers = list[tuple[str, str]]

IPV4_MAPPED = "::ffff:"
# The keys of PEP 3333 that are the same for all requests.
BASE_ENVIRON: dict[str, Any] = {
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    # The stream ends with the body, with Content-Length or without.
    "wsgi.input_terminated": True,
    "SERVER_SOFTWARE": "gunicorn",
    "SCRIPT_NAME": "",
}


class Response(NamedTuple):
    """A whole response: the status line's text, such as `200 OK`, all headers of the application, the body."""

    status: str
    headers: Headers
    body: bytes

    def to_bytes(self, version: str, *, closes: bool) -> bytes:
        """The response as HTTP.

        Args:
            version: the HTTP version of the request, `1.0` or `1.1`.
            closes: whether the connection is closed after it.

        Raises:
            ValueError: a header contains a line break.
        """
        lines = "".join([f"{name}: {value}\r\n" for name, value in self.headers])
        if not lines.count("\r") == lines.count("\n") == len(self.headers):
            raise ValueError("a header contains a line break")
        head = (
            f"HTTP/{version} {self.status}\r\nServer: gunicorn\r\nDate: {_http_date(int(time.time()))}\r\n"
            f"Connection: {'close' if closes else 'keep-alive'}\r\n{lines}\r\n"
        )
        return head.encode("latin-1") + self.body


def connection_environ(peer: Any, local: Any) -> dict[str, str]:
    """The environ's keys that are the same for all requests of a connection.

    Args:
        peer: the client's address: host and port; on a Unix socket an empty text.
        local: the socket's own address: host and port, or the path of a Unix socket.
    """
    environ = {}
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = _host_and_port(peer)
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _host_and_port(local)
    return environ


def build_environ(
    head: RequestHead, body: object, of_connection: Mapping[str, str]
) -> dict[str, Any]:
    """The WSGI environ of a request.

    Args:
        head: the request's head, none of whose fields sets a key of the connection.
        body: the stream of the request's body.
        of_connection: made by `connection_environ`.
    """
    return {
        **BASE_ENVIRON,
        **of_connection,
        **head.fields,
        "wsgi.errors": sys.stderr,
        "wsgi.input": body,
        "REQUEST_METHOD": head.method,
        "PATH_INFO": unquote_to_bytes(head.path).decode("latin-1"),
        "QUERY_STRING": head.query,
        "RAW_URI": head.target,
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
    }


def run_wsgi_app(application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Response:
    """The whole response of a WSGI application.

    Args:
        application: must not use the `write` of PEP 3333, nor answer 1xx, 204 or 304.
        environ: made by `build_environ`.

    Raises:
        Exception: whatever the application raises.
    """
    started: tuple[str, Headers] = ("500 Internal Server Error", [])

    def start_response(status: str, headers: Headers, _exc_info: object = None) -> None:
        nonlocal started
        started = status, headers

    parts = application(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if close := getattr(parts, "close", None):
            close()
    status, headers = started
    if not any(name.lower() == "content-length" for name, _ in headers):
        headers = [*headers, ("Content-Length", str(len(body)))]
    return Response(status, headers, b"" if environ["REQUEST_METHOD"] == "HEAD" else body)


def _host_and_port(address: Any) -> tuple[str, str]:
    if not isinstance(address, tuple):
        return "", ""
    host, port = address[:2]
    # A socket of both families shows an IPv4 address as ::ffff:192.0.2.1.
    return host.removeprefix(IPV4_MAPPED) if "." in host else host, str(port)


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
