"""The WSGI environ of a request, and the bytes of a response."""

from collections.abc import Iterator
from typing import Any

import pytest

from listener.server import http_exchange
from listener.server.request_head import RequestHead

PEER, LOCAL = ("192.0.2.7", 4711), ("0.0.0.0", 8000)


def environ(
    fields: dict[str, str] | None = None, method: str = "POST", local: Any = LOCAL, peer: Any = PEER
) -> dict[str, Any]:
    target = "/c%C3%A4/b?q=1"
    head = RequestHead(
        *(method, target, "/c%C3%A4/b", "q=1", "1.1", fields or {}),
        body_bytes=0,
        expects_continue=False,
        keeps_alive=True,
    )
    return http_exchange.build_environ(head, None, http_exchange.connection_environ(peer, local))


class Parts:
    """The body of a response, which must be closed."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"a", b"", b"bc")

    def close(self) -> None:
        self.closed = True


def respond(
    application: Any,
    method: str = "GET",
    version: str = "1.1",
    *,
    closes: bool = False,
) -> tuple[list[str], bytes]:
    response = http_exchange.run_wsgi_app(application, environ(method=method))
    head, _, body = response.to_bytes(version, closes=closes).partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), body


def test_no_header_sets_the_keys_of_the_connection() -> None:
    environment = environ(
        {"HTTP_HOST": "other:9464", "HTTP_REMOTE_ADDR": "10.0.0.1", "HTTP_SERVER_PORT": "9464"}
    )
    assert (environment["SERVER_NAME"], environment["SERVER_PORT"]) == ("0.0.0.0", "8000")
    assert (environment["REMOTE_ADDR"], environment["REMOTE_PORT"]) == ("192.0.2.7", "4711")
    assert environment["wsgi.url_scheme"] == "http"


def test_a_unix_socket_has_no_port_whatever_the_host_header_says() -> None:
    environment = environ({"HTTP_HOST": "h:9464"}, local="/run/listener.sock", peer="")
    assert (environment["SERVER_PORT"], environment["REMOTE_ADDR"]) == ("", "")


def test_path_is_decoded_as_wsgi_requires() -> None:
    environment = environ()
    assert environment["PATH_INFO"].encode("latin-1").decode() == "/cä/b"
    assert (environment["QUERY_STRING"], environment["RAW_URI"]) == ("q=1", "/c%C3%A4/b?q=1")


def test_response_gets_a_length_if_the_application_sets_none() -> None:
    parts = Parts()

    def application(_environ: Any, start_response: Any) -> Parts:
        start_response("200 OK", [("X-Own", "1")])
        return parts

    head, body = respond(application)
    assert head[0] == "HTTP/1.1 200 OK"
    assert {"X-Own: 1", "Content-Length: 3", "Connection: keep-alive", "Server: gunicorn"} <= {
        *head
    }
    assert (body, parts.closed) == (b"abc", True)


def test_response_to_head_has_its_length_and_no_body() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "9")])
        return [b"something"]

    head, body = respond(application, "HEAD")
    assert ("Content-Length: 9" in head, body) == (True, b"")


def test_response_has_the_version_of_the_request_and_announces_the_close() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("503 Service Unavailable", [])
        return []

    head, _ = respond(application, version="1.0", closes=True)
    assert head[0] == "HTTP/1.0 503 Service Unavailable"
    assert "Connection: close" in head


def test_body_of_the_response_is_closed_if_it_raises() -> None:
    class Broken(Parts):
        def __iter__(self) -> Iterator[bytes]:
            yield b"a"
            raise KeyError

    parts = Broken()
    with pytest.raises(KeyError):
        respond(lambda _environ, start_response: start_response("200 OK", []) or parts)
    assert parts.closed


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_header_with_a_line_break_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        http_exchange.Response("200 OK", [("X", value)], b"").to_bytes("1.1", closes=False)
