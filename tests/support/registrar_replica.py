"""Replicas of the registrar without their processes, for the integration tests."""

from collections.abc import Callable
from pathlib import Path

from registrar.app import Parts
from registrar.coordination.heartbeat import Heartbeat
from registrar.observation import Observation
from registrar.reconcile.deregistration import Farewell, Remover
from registrar.reconcile.reconciler import Reconciler
from registrar.settings import RegistrarSettings
from registrar.turn import UNRESTRICTED
from testbed.sandbox_client import Sandbox

ACCOUNTS = ("0242078689-00001", "0242078689-00002")
TOKEN = "token-of-the-tests"
URL = f"http://127.0.0.1:50559/cb/{TOKEN}"
FOREIGN = "https://other.example.com/cb"
FOTA = "/api/fota"
LOGIN = "/api/m2m/v1/session/login"
OAUTH = "/api/ts/v1/oauth2/token"


class Replica:
    """A registrar without its process."""

    def __init__(self, settings: RegistrarSettings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self.reconciler = Reconciler(settings, parts.client, parts.shared)
        self.heartbeat = Heartbeat(parts.shared.lease, ttl_s=settings.lease_ttl_s)

    def tick(self) -> list[Observation]:
        with self.reconciler.exclusively(UNRESTRICTED) as turn:
            outcomes = self.reconciler.tick(turn)
        return [outcome.observation for outcome in outcomes]

    def join(self) -> None:
        self.parts.shared.lease.join()

    def leave(self) -> None:
        shared = self.parts.shared
        remover = Remover(self.settings, self.parts.client, shared)
        Farewell(self.settings, shared, remover).say(UNRESTRICTED, mutex_timeout_s=1.0)


Replicas = Callable[..., Replica]


def environment(sandbox: Sandbox, redis_url: str, folder: Path, **chosen: str) -> dict[str, str]:
    """The settings of one replica."""
    return {
        **sandbox.environment(),
        "THINGSPACE_ACCOUNTS": ACCOUNTS[0],
        "REDIS_URL": redis_url,
        "PUBLIC_URL": "http://127.0.0.1:50559/cb",
        "CALLBACK_TOKEN": TOKEN,
        "SPOOL_DIR": str(folder / "spool"),
        "REGISTRAR_LEASE_TTL_S": "5",
        **chosen,
    }


def result_and_reason(observation: Observation) -> tuple[str, str]:
    return observation.result, observation.reason


def calls(sandbox: Sandbox, after: int, path: str = FOTA) -> list[str]:
    return [call["method"] for call in sandbox.requests(after, path=path)]


def request_count(sandbox: Sandbox) -> int:
    return len(sandbox.requests())


def writes(sandbox: Sandbox, after: int) -> list[str]:
    return [method for method in calls(sandbox, after) if method != "GET"]


def renewals(sandbox: Sandbox, start: int) -> tuple[int, int]:
    """How many tokens and how many sessions were asked for."""
    return len(calls(sandbox, start, OAUTH)), len(calls(sandbox, start, LOGIN))
