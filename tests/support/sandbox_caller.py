"""A client of the sandbox's API with credentials, without a network, and with the time in its hands."""

import json
from typing import Any, Self

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from sandbox.app import create_app
from sandbox.settings import Settings
from sandbox.state import State

ACCOUNT = "0242078689-00001"
LOGIN = {"username": "u", "password": "p"}


class Caller:
    """Calls the API of a sandbox of its own; `now` is the sandbox's time.

    Args:
        chosen: settings of the sandbox.
    """

    def __init__(self, **chosen: Any) -> None:
        self.now = 1_000_000.0
        settings = Settings(key="k", secret="s", username="u", password="p", **chosen)
        self.state = State.build(settings, clock=lambda: self.now)
        self.client: FlaskClient = create_app(self.state).test_client()
        self.headers: dict[str, str] = {}

    def authorize(self) -> Self:
        """Fetches a token and a session, which later calls present."""
        bearer = self.token().get_json()["access_token"]
        self.headers["Authorization"] = f"Bearer {bearer}"
        session = self("POST", "/api/m2m/v1/session/login", LOGIN).get_json()["sessionToken"]
        self.headers["VZ-M2M-Token"] = session
        return self

    def token(self, key: str = "k", grant_type: str = "client_credentials") -> TestResponse:
        form = {"grant_type": grant_type}
        return self.client.post("/api/ts/v1/oauth2/token", data=form, auth=(key, "s"))

    def __call__(self, method: str, path: str, body: Any = None) -> TestResponse:
        data = None if body is None else json.dumps(body)
        return self.client.open(path, method=method, data=data, headers=self.headers)

    def callbacks(
        self, method: str, version: str, body: Any = None, *, account: str = ACCOUNT, rest: str = ""
    ) -> TestResponse:
        return self(method, f"/api/fota/{version}/callbacks/{account}{rest}", body)

    def get(self, version: str, path: str) -> TestResponse:
        """A call of `/api/fota/VERSION/…`, in which A stands for the account."""
        return self("GET", f"/api/fota/{version}{path.replace('/A', f'/{ACCOUNT}', 1)}")

    def read(self, version: str, path: str) -> Any:
        """The JSON of such a call, which has to succeed."""
        answer = self.get(version, path)
        assert answer.status_code == 200, (path, answer.status_code, answer.get_data(as_text=True))
        return answer.get_json()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a call of the control side, which has to succeed."""
        answer = self(method, f"/sandbox{path}", body)
        assert answer.status_code < 300, (path, answer.status_code, answer.get_data(as_text=True))
        return answer.get_json()

    def options(self, **changes: Any) -> None:
        """Changes options of the reports."""
        self.control("PUT", "/options", changes)

    def campaigns(self, **wanted: Any) -> dict[str, Any]:
        """Adds upgrades; see `sandbox.campaigns.requests.CampaignRequest`."""
        created: dict[str, Any] = self.control("POST", "/campaigns", wanted)
        return created

    def ids(self, campaigns: dict[str, Any]) -> list[str]:
        """The ids of these upgrades."""
        listed = self.control("GET", f"/campaigns/{campaigns['number']}/upgrades")["upgrades"]
        return [each["id"] for each in listed]
