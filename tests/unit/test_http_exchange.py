"""From gunicorn's request to a WSGI environ, and from an application's answer to bytes."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from listener.server import http_exchange

CLIENT, LISTENING = ("192.0.2.7", 4711), ("0.0.0.0", 8000)


def request(*headers: tuple[str, str], **changes: Any) -> SimpleNamespace:
    """As gunicorn's parser gives one: names in capitals."""
    facts = {"method": "POST", "path": "/c%C3%A4/b", "uri": "/c%C3%A4/b?q=1", "query": "q=1"}
    return SimpleNamespace(
        **(facts | {"version": (1, 1), "headers": headers, "body": None} | changes)
    )


def environ(*headers: tuple[str, str], **changes: Any) -> dict[str, Any]:
    names = http_exchange.connection_environ(CLIENT, LISTENING)
    return http_exchange.build_environ(request(*headers, **changes), names)


class Parts:
    """An answer's body that wants to be closed."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"a", b"", b"bc")

    def close(self) -> None:
        self.closed = True


def answered(
    application: Any,
    method: str = "GET",
    version: tuple[int, int] = (1, 1),
    *,
    closes: bool = False,
) -> tuple[list[str], bytes]:
    answer = http_exchange.run_wsgi_app(application, environ(method=method))
    head, _, body = answer.to_bytes(version, closes=closes).partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), body


def test_headers_come_under_their_names_and_the_repeated_ones_together() -> None:
    found = environ(
        ("CONTENT-TYPE", "application/json"),
        ("CONTENT-LENGTH", "2"),
        ("X-FORWARDED-FOR", "192.0.2.1"),
        ("X-FORWARDED-FOR", "192.0.2.2"),
    )
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"]) == ("application/json", "2")
    assert found["HTTP_X_FORWARDED_FOR"] == "192.0.2.1,192.0.2.2"
    assert "HTTP_CONTENT_LENGTH" not in found


def test_no_header_sets_what_the_connection_says() -> None:
    found = environ(("HOST", "other:9464"), ("REMOTE-ADDR", "10.0.0.1"), ("SERVER-PORT", "9464"))
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("0.0.0.0", "8000")
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("192.0.2.7", "4711")
    assert found["wsgi.url_scheme"] == "http"


def test_a_unix_socket_has_no_port_whatever_the_host_header_says() -> None:
    names = http_exchange.connection_environ("", "/run/listener.sock")
    found = http_exchange.build_environ(request(("HOST", "h:9464")), names)
    assert (found["SERVER_PORT"], found["REMOTE_ADDR"]) == ("", "")


def test_the_path_is_decoded_as_wsgi_wants_it() -> None:
    found = environ()
    assert found["PATH_INFO"].encode("latin-1").decode() == "/cä/b"
    assert (found["QUERY_STRING"], found["RAW_URI"]) == ("q=1", "/c%C3%A4/b?q=1")


def test_an_answer_is_whole_and_its_length_told_where_the_application_does_not() -> None:
    parts = Parts()

    def application(_environ: Any, start_response: Any) -> Parts:
        start_response("200 OK", [("X-Own", "1")])
        return parts

    head, body = answered(application)
    assert head[0] == "HTTP/1.1 200 OK"
    assert {"X-Own: 1", "Content-Length: 3", "Connection: keep-alive", "Server: gunicorn"} <= {
        *head
    }
    assert (body, parts.closed) == (b"abc", True)


def test_to_head_no_body_is_sent_and_its_length_stays() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "9")])
        return [b"something"]

    head, body = answered(application, "HEAD")
    assert ("Content-Length: 9" in head, body) == (True, b"")


def test_the_version_is_the_clients_and_the_end_is_announced() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("503 Service Unavailable", [])
        return []

    head, _ = answered(application, version=(1, 0), closes=True)
    assert head[0] == "HTTP/1.0 503 Service Unavailable"
    assert "Connection: close" in head


def test_the_body_is_closed_also_when_it_breaks() -> None:
    class Broken(Parts):
        def __iter__(self) -> Iterator[bytes]:
            yield b"a"
            raise KeyError

    parts = Broken()
    with pytest.raises(KeyError):
        answered(lambda _environ, start_response: start_response("200 OK", []) or parts)
    assert parts.closed


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_no_header_ends_its_line(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        http_exchange.Response("200 OK", [("X", value)], b"").to_bytes((1, 1), closes=False)
