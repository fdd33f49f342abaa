"""A request to the public port: what is hidden of it, and how its body is read."""

from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import EnvironBuilder

from listener.callback.request import HIDDEN_PATH, URL_HEADERS, CallbackRequest, hide
from listener.errors import MalformedRequestError, RequestTooLargeError

TOKEN = "token-of-all-the-tests"
PASSWORD = b"correct-horse-battery"


def environ(path: str = f"/cb/{TOKEN}", **changes: Any) -> dict[str, Any]:
    built = EnvironBuilder(path, method="POST", data=PASSWORD, query_string=f"t={TOKEN}")
    found: dict[str, Any] = {**built.get_environ(), **changes}
    hide(found)
    return found


def reading(body: bytes, **changes: Any) -> CallbackRequest:
    return CallbackRequest(environ(**{"wsgi.input": BytesIO(body), **changes}))


def test_nothing_shows_the_token_or_the_body_but_what_the_receiver_asks_for() -> None:
    by_proxies = dict.fromkeys(URL_HEADERS, f"https://fota.example/cb/{TOKEN}")
    found = environ(**by_proxies, RAW_URI=f"/cb/{TOKEN}", REQUEST_URI=f"/cb/{TOKEN}")
    request = CallbackRequest(found)
    assert TOKEN not in repr(found) + repr(request)
    assert (request.path, request.full_path, request.args) == (HIDDEN_PATH, f"{HIDDEN_PATH}?", {})
    assert (request.get_data(), request.get_json(silent=True), request.form) == (b"", None, {})
    assert request.hidden_path == f"/cb/{TOKEN}"
    assert request.read_body(100) == PASSWORD


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/healthz", "/healthz"),
        ("/readyz/", "/readyz/"),
        ("/healthz//", HIDDEN_PATH),
        ("//healthz", HIDDEN_PATH),
        ("/healthz/x", HIDDEN_PATH),
        ("/", HIDDEN_PATH),
        ("", HIDDEN_PATH),
        ("*", HIDDEN_PATH),
        (HIDDEN_PATH, HIDDEN_PATH),
    ],
)
def test_only_the_paths_of_the_health_checks_are_shown(path: str, shown: str) -> None:
    found = environ(PATH_INFO=path)
    assert {found[name] for name in ("PATH_INFO", "RAW_URI", "REQUEST_URI")} == {shown}
    assert CallbackRequest(found).hidden_path == path


def test_path_is_decoded_and_no_slash_is_lost() -> None:
    raw = "//cä/b//".encode().decode("latin-1")
    assert CallbackRequest(environ(PATH_INFO=raw)).hidden_path == "//cä/b//"
    assert CallbackRequest(environ(PATH_INFO="/\xff")).hidden_path == "/\ufffd"


@pytest.mark.parametrize("length", ["", "x", "-1", "+1", "1_0", " 1"])
def test_length_that_is_no_number_is_none(length: str) -> None:
    assert reading(b"abc", CONTENT_LENGTH=length).announced_bytes is None


@pytest.mark.parametrize("length", ["3", "03", ""])
def test_body_is_read_whole_with_and_without_an_announced_length(length: str) -> None:
    assert reading(b"abc", CONTENT_LENGTH=length).read_body(3) == b"abc"


def test_body_that_ends_early_is_malformed() -> None:
    with pytest.raises(MalformedRequestError):
        reading(b"abc", CONTENT_LENGTH="4").read_body(10)


def test_body_over_the_limit_is_refused_whether_it_is_announced_or_not() -> None:
    for length in ("5", ""):
        with pytest.raises(RequestTooLargeError):
            reading(b"abcde", CONTENT_LENGTH=length).read_body(4)


def test_no_more_of_a_body_is_read_than_is_announced() -> None:
    assert reading(b"abcGET / HTTP/1.1", CONTENT_LENGTH="3").read_body(100) == b"abc"
