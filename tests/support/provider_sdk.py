"""The provider's public SDK, pointed at the sandbox."""

from typing import Any

import pytest

from testbed.sandbox_client import Sandbox


def point_at(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points the SDK's servers at a base URL such as the sandbox's, for the length of a test."""
    from verizon.configuration import Configuration, Environment, Server

    paths = {
        Server.THINGSPACE: "",
        Server.OAUTH_SERVER: "/ts/v1",
        Server.SOFTWARE_MANAGEMENT_V1: "/fota/v1",
        Server.SOFTWARE_MANAGEMENT_V2: "/fota/v2",
        Server.SOFTWARE_MANAGEMENT_V3: "/fota/v3",
    }
    servers = {server: base_url + path for server, path in paths.items()}
    monkeypatch.setitem(Configuration.environments, Environment.PRODUCTION, servers)


def sdk_client(sandbox: Sandbox, *, secret: str | None = None, session: str | None = None) -> Any:
    """The SDK's client, which fetches its token itself."""
    from verizon.http.auth.thingspace_oauth import ThingspaceOauthCredentials
    from verizon.http.auth.vz_m2m_token import VZM2mTokenCredentials
    from verizon.verizon_client import VerizonClient

    return VerizonClient(
        thingspace_oauth_credentials=ThingspaceOauthCredentials(
            oauth_client_id=sandbox.key, oauth_client_secret=secret or sandbox.secret
        ),
        vz_m2m_token_credentials=VZM2mTokenCredentials(session) if session else None,
    )


def log_in(sandbox: Sandbox, password: str | None = None) -> str:
    """A session, by the SDK."""
    from verizon.models.log_in_request import LogInRequest

    body = LogInRequest(username=sandbox.username, password=password or sandbox.password)
    answer = sdk_client(sandbox).session_management.start_connectivity_management_session(body)
    return str(answer.body.session_token)


def callbacks(sdk: Any, version: str) -> Any:
    """The SDK's controller of the callbacks of an API version."""
    return getattr(sdk, f"software_management_callbacks_{version}")


def registration_request(
    version: str, url: str, username: str | None = None, password: str | None = None
) -> Any:
    """The body that the SDK registers a URL with."""
    from verizon.models.callback_service_enum import CallbackServiceEnum
    from verizon.models.fota_v1_callback_registration_request import (
        FotaV1CallbackRegistrationRequest,
    )
    from verizon.models.fota_v2_callback_registration_request import (
        FotaV2CallbackRegistrationRequest,
    )
    from verizon.models.fota_v3_callback_registration_request import (
        FotaV3CallbackRegistrationRequest,
    )

    if version == "v1":
        login = {"username": username, "password": password} if username else {}
        return FotaV1CallbackRegistrationRequest(name=CallbackServiceEnum.FOTA, url=url, **login)
    if version == "v2":
        return FotaV2CallbackRegistrationRequest(url=url)
    return FotaV3CallbackRegistrationRequest(url=url)


def result_exception(version: str) -> type[Exception]:
    """The SDK's exception for a 400 of an API version."""
    from verizon.exceptions.fota_v1_result_exception import FotaV1ResultException
    from verizon.exceptions.fota_v2_result_exception import FotaV2ResultException
    from verizon.exceptions.fota_v3_result_exception import FotaV3ResultException

    exceptions: dict[str, type[Exception]] = {
        "v1": FotaV1ResultException,
        "v2": FotaV2ResultException,
        "v3": FotaV3ResultException,
    }
    return exceptions[version]
