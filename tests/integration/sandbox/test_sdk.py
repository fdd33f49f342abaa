"""The provider's public SDK, pointed at the sandbox: what it can do there it can do with ThingSpace.

The SDK decides what is true to the provider: it builds the requests, and it takes the answers apart.
"""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.sandbox_client import Sandbox
from tests.support.provider_sdk import (
    callbacks,
    log_in,
    point_at,
    registration_request,
    result_exception,
    sdk_client,
)

URL = "https://listener.example:50559/CallbackListener/FirmwareServiceMessages.asmx"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_registered(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.clear_faults()
    for version in ("v1", "v2", "v3"):
        sandbox.deregister_outside(version=version)


@pytest.fixture(autouse=True)
def servers(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(sandbox.base_url, monkeypatch)


@pytest.fixture
def sdk(sandbox: Sandbox) -> Any:
    """The SDK's client, with a token that it fetches itself and a session."""
    return sdk_client(sandbox, session=log_in(sandbox))


def test_v1_queries_registers_and_deregisters(sandbox: Sandbox, sdk: Any) -> None:
    from verizon.models.callback_service_enum import CallbackServiceEnum

    api, account = callbacks(sdk, "v1"), sandbox.account
    assert api.list_registered_callbacks(account).body == []
    wanted = registration_request("v1", URL, "listener", "hidden")
    registered = api.register_callback(account, wanted).body
    assert (registered.account_name, registered.service_name) == (account, "Fota")
    (found,) = api.list_registered_callbacks(account).body
    assert (found.aname, found.name, found.url) == (account, "Fota", URL)
    assert (found.username, found.password) == ("listener", "hidden")
    assert sandbox.registered_url("v1") == URL
    gone = api.deregister_callback(account, CallbackServiceEnum.FOTA).body
    assert gone.success is True
    assert api.list_registered_callbacks(account).body == []


def test_v1_as_a_bare_object_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(v1_query="object") as other:
        point_at(other.base_url, monkeypatch)
        other.register_outside(URL)
        api = callbacks(sdk_client(other, session=log_in(other)), "v1")
        assert api.list_registered_callbacks(other.account).body.url == URL


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_v2_and_v3_query_register_modify_and_deregister(
    sandbox: Sandbox, sdk: Any, version: str
) -> None:
    api, account = callbacks(sdk, version), sandbox.account
    assert not hasattr(api.list_registered_callbacks(account).body, "url")
    assert api.register_callback(account, registration_request(version, URL)).body.url == URL
    assert api.list_registered_callbacks(account).body.url == URL
    assert (
        api.update_callback(account, registration_request(version, URL + "2")).body.url == URL + "2"
    )
    assert sandbox.registered_url(version) == URL + "2"
    assert api.deregister_callback(account).body.success is True
    assert sandbox.registered_url(version) is None


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_an_error_becomes_the_version_s_exception_with_its_code_and_message(
    sdk: Any, version: str
) -> None:
    with pytest.raises(result_exception(version)) as problem:
        callbacks(sdk, version).list_registered_callbacks("42")
    error: Any = problem.value
    assert error.response_code == 400
    assert error.error_code == "INVALID_PARAMETER"
    assert error.error_message == "Invalid account name format"


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_http_is_refused_with_that_exception(sandbox: Sandbox, sdk: Any, version: str) -> None:
    plain = registration_request(version, "http://127.0.0.1:1/")
    with pytest.raises(result_exception(version)) as problem:
        callbacks(sdk, version).register_callback(sandbox.account, plain)
    error: Any = problem.value
    assert "https" in error.error_message


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_a_dead_session_is_such_an_error_as_well(sandbox: Sandbox, sdk: Any, version: str) -> None:
    sandbox.fault("/api/fota", expire="session")
    with pytest.raises(result_exception(version)) as problem:
        callbacks(sdk, version).list_registered_callbacks(sandbox.account)
    error: Any = problem.value
    assert error.error_code == "UnifiedWebService.REQUEST_FAILED.SessionToken.Expired"


@pytest.mark.parametrize("shape", ["gateway-forbidden-xml", "html-bad-gateway", "throttled"])
def test_what_stands_in_between_becomes_the_sdk_s_general_exception(
    sandbox: Sandbox, sdk: Any, shape: str
) -> None:
    from verizon.exceptions.api_exception import APIException

    sandbox.fault("/api/fota", shape=shape)
    with pytest.raises(APIException) as problem:
        callbacks(sdk, "v2").list_registered_callbacks(sandbox.account)
    assert type(problem.value) is APIException
    assert problem.value.response_code in {403, 429, 502}


def test_a_token_that_expired_early_is_the_gateway_s_401(sandbox: Sandbox, sdk: Any) -> None:
    from verizon.exceptions.api_exception import APIException

    sandbox.fault("/api/fota", expire="token")
    with pytest.raises(APIException) as problem:
        callbacks(sdk, "v1").list_registered_callbacks(sandbox.account)
    assert problem.value.response_code == 401
    assert "900901" in problem.value.response.text


def test_oauth_fails_with_a_wrong_secret(sandbox: Sandbox) -> None:
    from verizon.exceptions.oauth_provider_exception import OauthProviderException

    basic = base64.b64encode(f"{sandbox.key}:wrong".encode()).decode()
    with pytest.raises(OauthProviderException) as problem:
        sdk_client(sandbox).oauth_authorization.request_token_thingspace_oauth(f"Basic {basic}")
    assert problem.value.response_code == 401
    assert problem.value.error == "invalid_client"
    assert problem.value.error_description


def test_a_token_has_what_the_sdk_reads(sandbox: Sandbox) -> None:
    basic = base64.b64encode(f"{sandbox.key}:{sandbox.secret}".encode()).decode()
    oauth = sdk_client(sandbox).oauth_authorization
    token = oauth.request_token_thingspace_oauth(f"Basic {basic}").body
    assert token.token_type == "Bearer"
    assert 0 < token.expires_in <= 3600
    assert oauth.request_token_thingspace_oauth(f"Basic {basic}").body.access_token == (
        token.access_token
    )


def test_a_wrong_password_is_the_session_api_s_exception(sandbox: Sandbox) -> None:
    from verizon.exceptions.connectivity_management_result_exception import (
        ConnectivityManagementResultException,
    )

    with pytest.raises(ConnectivityManagementResultException) as problem:
        log_in(sandbox, password="wrong")
    assert problem.value.error_code == "UnifiedWebService.INPUT_INVALID.Password.Invalid"
    assert sandbox.lock_state()["failed_logins"] == 1
    sandbox.unlock()


def test_logout_ends_the_session(sandbox: Sandbox) -> None:
    session = log_in(sandbox)
    sdk = sdk_client(sandbox, session=session)
    ended = sdk.session_management.end_connectivity_management_session()
    assert ended.body.session_token == session
    with pytest.raises(result_exception("v1")):
        callbacks(sdk, "v1").list_registered_callbacks(sandbox.account)
