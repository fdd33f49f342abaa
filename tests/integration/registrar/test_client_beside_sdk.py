"""Our client beside the provider's public SDK: the same on the wire, the same results, the same errors.

Both do the same against one sandbox, through a proxy that records what they send. The differences are
deliberate; each is a constant or a test of its own here, with its reason.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from listener.settings.secret import Secret
from registrar.errors import RegistrarError
from registrar.thingspace import (
    CallbackClient,
    DeregistrationResult,
    Registration,
    RegistrationResult,
    ServiceName,
    Slot,
)
from testbed.sandbox_client import Sandbox
from tests.support.provider_sdk import (
    callbacks,
    log_in,
    point_at,
    registration_request,
    result_exception,
    sdk_client,
)
from tests.support.recording_proxy import Recording, WireRequest, recording

URL = "https://listener.example:50559/CallbackListener/FirmwareServiceMessages.asmx"
VERSIONS = ("v1", "v2", "v3")
FOTA = "/api/fota"
LOGIN = "/api/m2m/v1/session/login"
TOKEN = "/api/ts/v1/oauth2/token"
# What both have to send alike. Not compared: User-Agent and Accept-Encoding, in which each names itself and what it
# can unpack; Connection, because ours keeps its connections; Content-Length, which follows from the body.
COMPARED = ("accept", "authorization", "vz-m2m-token", "content-type")
JSON = "application/json"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def wire(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    """The way to the sandbox that both clients take; nothing is registered there."""
    sandbox.clear_faults()
    sandbox.unlock()
    for version in VERSIONS:
        sandbox.deregister_outside(version=version)
    with recording(sandbox.base_url) as recorded:
        point_at(recorded.base_url, monkeypatch)
        yield recorded


@pytest.fixture
def ours(wire: Recording, sandbox: Sandbox, tmp_path: Path) -> Iterator[CallbackClient]:
    with open_client(wire, sandbox, tmp_path) as client:
        yield client


def open_client(
    wire: Recording, sandbox: Sandbox, folder: Path, *, secret: str = "", password: str = ""
) -> CallbackClient:
    return CallbackClient.open(
        wire.base_url,
        sandbox.key,
        secret or sandbox.secret,
        sandbox.username,
        password or sandbox.password,
        state_dir=folder,
    )


@pytest.fixture
def sdk(wire: Recording, sandbox: Sandbox) -> Any:
    """The SDK's client, with a session; it goes by the wire."""
    assert wire.base_url
    return sdk_client(sandbox, session=log_in(sandbox))


def sent(wire: Recording, act: Callable[[], object], path: str = FOTA) -> WireRequest:
    """The one request to the path that an act sends."""
    before = len(wire.of(path))
    act()
    (request,) = wire.of(path)[before:]
    return request


def comparable(request: WireRequest, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What of a request must be the same; tokens are compared by their presence, for each client has its own session."""
    headers = {
        name: request.headers[name]
        for name in COMPARED
        if name in request.headers and name not in without
    }
    if "vz-m2m-token" in headers:
        headers["vz-m2m-token"] = "a session"
    return {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": json.loads(request.body) if request.body else None,
    }


def sdk_deregister(api: Any, version: str, account: str) -> Any:
    from verizon.models.callback_service_enum import CallbackServiceEnum

    arguments = (account, CallbackServiceEnum.FOTA) if version == "v1" else (account,)
    return api.deregister_callback(*arguments)


# Some of the provider's pages require the content type on GET and DELETE too [doc]; the SDK leaves it out, and sends
# `*/*` with the body of v2.
CONTENT_TYPE_DIFFERS = {"query", "deregister", "register-v2"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operation", ["query", "register", "deregister"])
def test_operation_is_the_same_on_the_wire(
    *,
    operation: str,
    version: str,
    sandbox: Sandbox,
    wire: Recording,
    ours: CallbackClient,
    sdk: Any,
) -> None:
    api, account, slot = callbacks(sdk, version), sandbox.account, Slot(sandbox.account, version)
    wanted = Registration(URL, "listener", Secret("hidden"))
    request = registration_request(version, URL, "listener", "hidden")
    theirs, mine = {
        "query": (lambda: api.list_registered_callbacks(account), lambda: ours.callbacks(slot)),
        "register": (
            lambda: api.register_callback(account, request),
            lambda: ours.register(slot, wanted),
        ),
        "deregister": (
            lambda: sdk_deregister(api, version, account),
            lambda: ours.deregister(slot, service=ServiceName.FOTA),
        ),
    }[operation]
    their_request, my_request = sent(wire, theirs), sent(wire, mine)
    assert my_request.headers["content-type"] == JSON
    differs = {operation, f"{operation}-{version}"} & CONTENT_TYPE_DIFFERS
    without = ("content-type",) if differs else ()
    assert bool(differs) == (their_request.headers.get("content-type") != JSON)
    assert comparable(my_request, without=without) == comparable(their_request, without=without)


def test_token_request_and_login_are_the_same_on_the_wire(
    sandbox: Sandbox, wire: Recording, ours: CallbackClient
) -> None:
    log_in(sandbox)
    theirs = wire.of(TOKEN)[-1], wire.of(LOGIN)[-1]
    ours.authenticator.tokens()
    mine = wire.of(TOKEN)[-1], wire.of(LOGIN)[-1]
    assert mine[0] != theirs[0]
    token_requests = [(each.method, each.path, each.body) for each in (mine[0], theirs[0])]
    assert token_requests[0] == token_requests[1]
    for name in ("authorization", "content-type"):
        assert mine[0].headers[name] == theirs[0].headers[name]
    assert comparable(mine[1]) == comparable(theirs[1])


def test_results_of_v1_are_the_same(sandbox: Sandbox, ours: CallbackClient, sdk: Any) -> None:
    api, account, slot = callbacks(sdk, "v1"), sandbox.account, Slot(sandbox.account, "v1")
    assert (api.list_registered_callbacks(account).body, ours.callbacks(slot)) == ([], ())

    theirs = api.register_callback(
        account, registration_request("v1", URL, "listener", "hidden")
    ).body
    mine = ours.register(slot, Registration(URL, "listener", Secret("hidden")))
    assert mine == RegistrationResult(theirs.account_name, theirs.service_name)

    (their_callback,) = api.list_registered_callbacks(account).body
    (my_callback,) = ours.callbacks(slot)
    registration = my_callback.registration
    assert registration.password is not None
    assert (
        my_callback.account,
        my_callback.service,
        registration.url,
        registration.username,
        registration.password.reveal(),
    ) == (
        their_callback.aname,
        their_callback.name,
        their_callback.url,
        their_callback.username,
        their_callback.password,
    )

    assert ours.deregister(slot) == DeregistrationResult(
        sdk_deregister(api, "v1", account).body.success
    )


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_results_of_v2_and_v3_are_the_same(
    version: str, sandbox: Sandbox, ours: CallbackClient, sdk: Any
) -> None:
    api, account, slot = callbacks(sdk, version), sandbox.account, Slot(sandbox.account, version)
    # The SDK makes an object without its members of "nothing is registered"; ours says so by an empty result.
    assert not hasattr(api.list_registered_callbacks(account).body, "url")
    assert ours.callbacks(slot) == ()

    theirs = api.register_callback(account, registration_request(version, URL)).body
    assert ours.register(slot, Registration(URL)) == RegistrationResult(url=theirs.url)

    their_callback = api.list_registered_callbacks(account).body
    (my_callback,) = ours.callbacks(slot)
    assert my_callback.registration == Registration(their_callback.url)

    assert ours.deregister(slot) == DeregistrationResult(
        sdk_deregister(api, version, account).body.success
    )


def test_v1_as_a_bare_object_is_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(v1_query="object") as other, recording(other.base_url) as wire:
        point_at(wire.base_url, monkeypatch)
        other.register_outside(URL)
        api = callbacks(sdk_client(other, session=log_in(other)), "v1")
        with open_client(wire, other, tmp_path) as ours:
            (callback,) = ours.callbacks(Slot(other.account, "v1"))
        assert callback.registration.url == api.list_registered_callbacks(other.account).body.url


def errors_of(theirs: Callable[[], object], mine: Callable[[], object]) -> tuple[Any, Any]:
    """The exception of each."""
    from verizon.exceptions.api_exception import APIException

    with pytest.raises(APIException) as their_error:
        theirs()
    with pytest.raises(RegistrarError) as my_error:
        mine()
    return their_error.value, my_error.value


@pytest.mark.parametrize("version", VERSIONS)
def test_refusal_by_fota_has_the_same_status_code_and_message(
    version: str, sandbox: Sandbox, ours: CallbackClient, sdk: Any
) -> None:
    api = callbacks(sdk, version)
    theirs, mine = errors_of(
        lambda: api.list_registered_callbacks("42"), lambda: ours.callbacks(Slot("42", version))
    )
    assert type(theirs).__name__ == result_exception(version).__name__
    said = f"HTTP {theirs.response_code} {theirs.error_code} {theirs.error_message}"
    assert (mine.reason, mine.detail) == ("rejected", said)


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_refusal_of_an_http_url_is_the_same(
    version: str, sandbox: Sandbox, ours: CallbackClient, sdk: Any
) -> None:
    api, account, plain = callbacks(sdk, version), sandbox.account, "http://127.0.0.1:1/"
    theirs, mine = errors_of(
        lambda: api.register_callback(account, registration_request(version, plain)),
        lambda: ours.register(Slot(account, version), Registration(plain)),
    )
    said = f"HTTP {theirs.response_code} {theirs.error_code} {theirs.error_message}"
    assert (mine.reason, mine.detail) == ("rejected", said)


@pytest.mark.quick_cases(6)
@pytest.mark.parametrize(
    ("shape", "reason", "status"),
    [
        ("gateway-forbidden-xml", "forbidden", 403),
        ("html-bad-gateway", "provider-failed", 502),
        ("throttled", "throttled", 429),
        ("session-invalid", "session-refused", 400),
        ("gateway-invalid-credentials", "token-refused", 401),
        ("gateway-no-resource", "no-such-path", 400),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_error_that_stays_is_an_error_of_both(
    *,
    version: str,
    shape: str,
    reason: str,
    status: int,
    sandbox: Sandbox,
    ours: CallbackClient,
    sdk: Any,
) -> None:
    api, slot = callbacks(sdk, version), Slot(sandbox.account, version)
    sandbox.fault(FOTA, shape=shape, count=99)
    theirs, mine = errors_of(
        lambda: api.list_registered_callbacks(sandbox.account), lambda: ours.callbacks(slot)
    )
    assert theirs.response_code == status
    assert mine.reason == reason
    assert f"HTTP {status}" in mine.detail


@pytest.mark.parametrize(
    "fault", [{"expire": "session"}, {"expire": "token"}, {"status": 502}], ids=str
)
def test_ours_renews_or_tries_again_where_the_sdk_gives_up(
    fault: dict[str, Any], sandbox: Sandbox, ours: CallbackClient, sdk: Any
) -> None:
    """A dead session, an expired token and an outage pass; the SDK leaves them to its caller."""
    from verizon.exceptions.api_exception import APIException

    slot = Slot(sandbox.account, "v1")
    ours.authenticator.tokens()
    sandbox.fault(FOTA, **fault)
    with pytest.raises(APIException):
        callbacks(sdk, "v1").list_registered_callbacks(sandbox.account)
    sandbox.clear_faults()
    sandbox.fault(FOTA, **fault)
    assert ours.callbacks(slot) == ()


@pytest.mark.parametrize("form", ["not-found", "not-registered-403", "not-registered-400"])
def test_ours_reads_an_error_that_says_that_nothing_is_registered(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sibling service says it so [doc], FOTA's own way is [?]; the SDK raises its exception."""
    from verizon.exceptions.api_exception import APIException

    with Sandbox(empty=form) as other, recording(other.base_url) as wire:
        point_at(wire.base_url, monkeypatch)
        api = callbacks(sdk_client(other, session=log_in(other)), "v2")
        with pytest.raises(APIException):
            api.list_registered_callbacks(other.account)
        with open_client(wire, other, tmp_path) as ours:
            slot = Slot(other.account, "v2")
            assert ours.callbacks(slot) == ()
            assert ours.deregister(slot) == DeregistrationResult(success=True)


def test_wrong_secret_is_an_error_of_both(
    sandbox: Sandbox, wire: Recording, tmp_path: Path
) -> None:
    from apimatic_core.exceptions.auth_validation_exception import AuthValidationException

    # The SDK reports a token that it could not fetch as an error of its own, without status or code.
    theirs = sdk_client(sandbox, secret="wrong", session="none")
    with pytest.raises(AuthValidationException):
        callbacks(theirs, "v1").list_registered_callbacks(sandbox.account)
    with (
        open_client(wire, sandbox, tmp_path, secret="wrong") as client,
        pytest.raises(RegistrarError) as mine,
    ):
        client.callbacks(Slot(sandbox.account, "v1"))
    assert mine.value.reason == "application-refused"


def test_wrong_password_is_the_same_error(
    sandbox: Sandbox, wire: Recording, tmp_path: Path
) -> None:
    with open_client(wire, sandbox, tmp_path, password="wrong") as client:
        theirs, mine = errors_of(
            lambda: log_in(sandbox, password="wrong"),
            lambda: client.callbacks(Slot(sandbox.account, "v1")),
        )
        said = f"HTTP {theirs.response_code} {theirs.error_code} {theirs.error_message}"
        assert (mine.reason, mine.detail) == ("login-refused", said)
        # Ours counts refused logins, and makes two at most; the SDK would lock the account at the fifth.
        logins = len(wire.of(LOGIN))
        for _ in range(5):
            with pytest.raises(RegistrarError):
                client.callbacks(Slot(sandbox.account, "v1"))
        assert len(wire.of(LOGIN)) == logins + 1
