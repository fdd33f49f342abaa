"""Every answer that the OpenAPI document names for a message really occurs, and looks as it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

import pytest
from jsonschema import Draft202012Validator

from listener.callback.app import create_app
from listener.errors import PROBLEM_TYPES, QueueUnavailableError, RequestTooSlowError
from listener.messages.message import Message
from listener.ops.openapi import openapi_document
from listener.queue.queue import PutResult
from listener.settings.settings import Settings

TOKEN = "token-of-all-the-tests"
SETTINGS = Settings.from_env(
    {
        "PUBLIC_URL": "https://fota.example.com/cb",
        "CALLBACK_TOKEN": TOKEN,
        "CALLBACK_USERNAME": "u",
        "CALLBACK_PASSWORD": "p",
        "CALLBACK_SOURCES": "127.0.0.1",
        "THINGSPACE_ACCOUNTS": "0242078689-00001",
        "MAX_BODY_BYTES": "1024",
        "SPOOL_DIR": "",
    }
)
LOGIN = '"username": "u", "password": "p"'
RIGHT = f'{{{LOGIN}, "type": "x"}}'


class Queue:
    """Keeps everything, or fails with what it is given."""

    def __init__(self, problem: Exception | None) -> None:
        self._problem = problem

    def put(self, message: Message) -> PutResult:
        if self._problem:
            raise self._problem
        return PutResult(duplicate=False, stored_in="redis")

    def quarantine(self, data: str, *, reason: str, arrived: datetime) -> None:
        pass

    def check(self) -> NoReturn:
        raise NotImplementedError


class Slow:
    """A body of which nothing comes in time, as the server's stream reports it."""

    def read(self, size: int = -1) -> NoReturn:
        raise RequestTooSlowError


@dataclass
class Request:
    """How a POST of a right message is changed."""

    body: str = RIGHT
    path: str = f"/cb/{TOKEN}"
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, Any] = field(default_factory=dict)
    problem: Exception | None = None


ANSWERS = {
    "not-json": Request(body="{"),
    "not-an-object": Request(body="[]"),
    "ambiguous": Request(body=f'{{{LOGIN}, "password": "q"}}'),
    "compressed": Request(headers={"Content-Encoding": "gzip"}),
    "wrong-shape": Request(body=f'{{{LOGIN}, "type": "upgradeScheduled", "upgradeScheduled": 1}}'),
    "bad-request": Request(method="GET", headers={"X-Probe-Nonce": "n" * 65}),
    "too-slow": Request(environ={"wsgi.input": Slow(), "wsgi.input_terminated": True}),
    "credentials-missing": Request(body="{}"),
    "credentials-wrong": Request(body='{"username": "u", "password": "q"}'),
    "source-refused": Request(environ={"REMOTE_ADDR": "192.0.2.1"}),
    "account-refused": Request(body=f'{{{LOGIN}, "accountName": "0242078689-00002"}}'),
    "not-found": Request(path="/cb/other"),
    "method-not-allowed": Request(method="PUT"),
    "too-large": Request(body=RIGHT + " " * 1024),
    "internal-error": Request(problem=KeyError("a mistake of ours")),
    "queue-unavailable": Request(problem=QueueUnavailableError("down")),
    None: Request(),
}


def test_there_is_an_example_of_every_reason() -> None:
    assert set(ANSWERS) == {*PROBLEM_TYPES, None}


@pytest.mark.parametrize("reason", ANSWERS)
def test_an_answer_occurs_and_is_as_described(reason: str | None) -> None:
    request = ANSWERS[reason]
    answer = (
        create_app(SETTINGS, queue=Queue(request.problem))  # type: ignore[arg-type]
        .test_client()
        .open(
            request.path,
            method=request.method,
            data=request.body,
            headers=dict(request.headers),
            environ_overrides=dict(request.environ),
        )
    )
    assert answer.json
    assert answer.json.get("reason") == reason
    described = openapi_document(SETTINGS)
    response = described["paths"]["/cb/{token}"]["post"]["responses"][str(answer.status_code)]
    content = response["content"][answer.content_type]
    schema = {**content["schema"], "components": described["components"]}
    Draft202012Validator(schema).validate(answer.json)
    assert set(response.get("headers", {})) <= set(answer.headers.keys())
