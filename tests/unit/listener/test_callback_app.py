"""The receiver is a Flask application like any other: its hooks and handlers see every message."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, g, got_request_exception, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from listener.callback.app import create_app
from listener.callback.request import HIDDEN_PATH
from listener.messages.message import Message
from listener.queue.queue import PutResult, StoredIn
from listener.settings.settings import Settings

TOKEN, PASSWORD = "token-of-all-the-tests", "correct-horse-battery"
PATH = f"/cb/{TOKEN}"
LOGIN = {"username": "listener", "password": PASSWORD}
ENVIRON = {
    "PUBLIC_URL": "https://fota.example/cb",
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_USERNAME": "listener",
    "CALLBACK_PASSWORD": PASSWORD,
}


class Queue:
    """Keeps everything, or raises an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def put(self, message: Message) -> PutResult:
        if self._error:
            raise self._error
        return PutResult(duplicate=False, stored_in="redis")

    def quarantine(self, data: str, *, reason: str, arrived: object) -> None: ...

    def check(self) -> StoredIn:
        return "redis"

    def close(self) -> None: ...


def receiver(error: Exception | None = None) -> Flask:
    return create_app(Settings.from_env(ENVIRON), queue=Queue(error))


@pytest.fixture
def client() -> FlaskClient:
    return receiver().test_client()


def test_hooks_see_every_request_and_may_use_g_but_see_no_secret() -> None:
    app = receiver()
    before: list[Any] = []
    after: list[Any] = []

    @app.before_request
    def note() -> None:
        g.number = len(before)
        assert TOKEN not in f"{request!r}{request.url}{request.environ}{request.headers}"
        assert request.get_data() == b""
        before.append((request.method, request.path, request.endpoint))

    @app.after_request
    def count(response: Any) -> Any:
        after.append((g.number, response.status_code, response.get_json()))
        response.headers["X-Hook"] = "seen"
        return response

    client = app.test_client()
    answers: list[TestResponse] = [
        client.post(PATH, json=LOGIN),
        client.post(PATH, data=b"{"),
        client.post("/cb/wrong", json=LOGIN),
        client.put(PATH),
        client.get("/healthz"),
    ]
    receive = ("POST", HIDDEN_PATH, "callback.receive")
    assert before == [
        *[receive] * 3,
        ("PUT", HIDDEN_PATH, "callback.receive"),
        ("GET", "/healthz", "health.alive"),
    ]
    assert after == [
        (number, answer.status_code, answer.json) for number, answer in enumerate(answers)
    ]
    assert [status for _, status, _ in after] == [200, 400, 404, 405, 200]
    assert {answer.headers["X-Hook"] for answer in answers} == {"seen"}


def test_hook_may_answer_in_the_place_of_the_view() -> None:
    app = receiver()
    app.before_request(lambda: ("closed for today", 503))
    answer = app.test_client().post(PATH, json=LOGIN)
    assert (answer.status_code, answer.text) == (503, "closed for today")


def test_application_may_have_error_handlers_of_its_own() -> None:
    app = receiver(ZeroDivisionError())

    @app.errorhandler(ZeroDivisionError)
    def answer(error: ZeroDivisionError) -> tuple[str, int]:
        return "divided", 503

    assert app.test_client().post(PATH, json=LOGIN).text == "divided"


def raised(password: str) -> Exception:
    """An exception whose stack has the password in a local variable."""
    try:
        ratio = len(password) / 0
    except ZeroDivisionError as error:
        return error
    raise AssertionError(ratio)


def with_cause() -> Exception:
    error = RuntimeError()
    error.__cause__ = raised(PASSWORD)
    return error


def with_context() -> Exception:
    error = RuntimeError()
    error.__context__ = raised(PASSWORD)
    error.__suppress_context__ = True
    return error


def with_both() -> Exception:
    error = with_cause()
    error.__context__ = raised(PASSWORD)
    return error


def in_a_group() -> Exception:
    return ExceptionGroup("several", [with_cause(), ExceptionGroup("inner", [raised(PASSWORD)])])


def every_exception(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        for other in (error.__cause__, error.__context__, *members):
            yield from every_exception(other, seen)


@pytest.mark.parametrize("failure", [RuntimeError, with_cause, with_context, with_both, in_a_group])
def test_unexpected_error_is_signalled_with_its_stack_and_without_local_variables(
    failure: Callable[[], Exception],
) -> None:
    app = receiver(failure())
    functions: list[str] = []
    variables: list[str] = []

    def report(_app: Flask, exception: BaseException) -> None:
        for error in every_exception(exception, set()):
            for frame, _ in traceback.walk_tb(error.__traceback__):
                functions.append(frame.f_code.co_name)
                variables.append(repr(frame.f_locals))

    with got_request_exception.connected_to(report, app):
        answer = app.test_client().post(PATH, json=LOGIN)
    assert (answer.status_code, answer.get_json()["reason"]) == (503, "internal-error")
    assert {"__call__", "put"} <= set(functions)
    assert TOKEN not in str(variables)
    assert PASSWORD not in str(variables)


@pytest.mark.parametrize("method", ["PROPFIND", "CONNECT", "QUERY", "X-OWN"])
def test_every_method_is_answered_like_a_known_one(method: str, client: FlaskClient) -> None:
    def answer(path: str, method: str) -> tuple[int, bytes, str | None]:
        answered = client.open(path, environ_overrides={"REQUEST_METHOD": method})
        return answered.status_code, answered.data, answered.headers.get("Allow")

    for path in (PATH, "/nowhere", "/healthz", "/readyz/"):
        assert answer(path, method) == answer(path, "PUT")


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_HOST": "a b"},
        {"HTTP_HOST": "\xff" * 300},
        {"HTTP_HOST": "x:y:z"},
        {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"},
        {"HTTP_COOKIE": "session=e30.x.y"},
        {"QUERY_STRING": "a=1&b=%zz"},
        {"CONTENT_TYPE": "multipart/form-data; boundary=x"},
        {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
        {"SERVER_NAME": "", "SERVER_PORT": ""},
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_no_header_but_those_it_is_about_changes_an_answer(
    environ: dict[str, str], client: FlaskClient
) -> None:
    for path in (PATH, "/nowhere", "/healthz"):
        plain = client.post(path, json=LOGIN)
        odd = client.post(path, json=LOGIN, environ_overrides=environ)
        assert (odd.status_code, odd.data) == (plain.status_code, plain.data)
        assert odd.headers == plain.headers


@pytest.mark.parametrize("debug", [True, False])
def test_error_of_ours_is_answered_in_flasks_debug_mode_as_well(debug: bool) -> None:
    app = receiver(ZeroDivisionError())
    app.debug = app.testing = debug
    assert app.test_client().post(PATH, json=LOGIN).status_code == 503
