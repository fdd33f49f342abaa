"""Replicas of the registrar without their processes, for the integration tests."""

from collections.abc import Callable
from pathlib import Path

from listener.registration_state import Observation
from registrar.app import Registrar
from registrar.reconcile.deregistration import Deregistrar
from registrar.reconcile.loop import ReconcileLoop
from registrar.reconcile.reconciler import Reconciler
from registrar.reconcile.shutdown import Shutdown
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import CallbackClient
from registrar.turn import UNRESTRICTED
from testbed.sandbox_client import Sandbox

ACCOUNTS = ("0242078689-00001", "0242078689-00002")
TOKEN = "token-of-all-the-tests"
URL = f"http://127.0.0.1:50559/cb/{TOKEN}"
FOREIGN = "https://other.example.com/cb"
FOTA = "/api/fota"
LOGIN = "/api/m2m/v1/session/login"
OAUTH = "/api/ts/v1/oauth2/token"


class Replica:
    """A registrar without its process."""

    def __init__(self, settings: RegistrarSettings, registrar: Registrar) -> None:
        self.settings = settings
        self.registrar = registrar
        self.reconciler = Reconciler(settings, registrar.client, registrar.coordination)

    def loop(
        self,
        wait_until_ready: Callable[[object], bool] = lambda _: True,
        client: CallbackClient | None = None,
    ) -> ReconcileLoop:
        """The loop of this replica, whose URL nobody answers."""
        return ReconcileLoop(
            self.settings,
            client or self.registrar.client,
            self.registrar.coordination,
            wait_until_ready=wait_until_ready,
            answerers=lambda _url: (),
        )

    def tick(self) -> list[Observation]:
        with self.reconciler.exclusively(UNRESTRICTED) as turn:
            results = self.reconciler.tick(turn)
        return [result.observation for result in results]

    def join(self) -> None:
        self.registrar.coordination.lease.join()

    def stored(self) -> Observation:
        """What all replicas read, and people in the status page, about the first account."""
        observation = self.registrar.coordination.state.observation(self.settings.slots[0])
        assert observation
        return observation

    def leave(self) -> None:
        coordination = self.registrar.coordination
        deregistrar = Deregistrar(self.settings, self.registrar.client, coordination)
        Shutdown(self.settings, coordination, deregistrar).run(UNRESTRICTED, mutex_timeout_s=1.0)


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
