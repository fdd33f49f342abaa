"""Secrets planted in every setting, through good days and bad: none shows up where it must not."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import redis
import requests

from testbed.polling import wait_until
from testbed.redis_servers import redis_process
from testbed.sandbox_client import Sandbox
from testbed.service import SUPERVISED, Service

PROVIDER = {
    "THINGSPACE_KEY": "planted-provider-key",
    "THINGSPACE_SECRET": "planted-provider-secret",
    "THINGSPACE_USERNAME": "planted-provider-user",
    "THINGSPACE_PASSWORD": "planted-provider-password",
}
CALLBACK = {
    "CALLBACK_TOKEN": "planted-callback-token",
    "CALLBACK_TOKEN_PREVIOUS": "planted-callback-token-before",
    "CALLBACK_PASSWORD": 'planted-password-"quoted"',
    "CALLBACK_PASSWORD_PREVIOUS": "planted-password-before",
}
REDIS_PASSWORD = "planted-redis-password"
SECRETS = [*PROVIDER.values(), *CALLBACK.values(), REDIS_PASSWORD]
# As they look inside JSON, where the quotation marks are escaped.
TRACES = [*SECRETS, 'planted-password-\\"quoted', "planted-sent"]
PAGES = ("/", "/metrics", "/version", "/openapi.json", "/healthz", "/readyz", "/nothing")
OPERATORS = (
    "registrar status",
    "registrar status --json",
    "listener check",
    "listener stats --json",
    "listener quarantine list --json",
    "listener export",
)
# With a Redis where nobody is: errors like to show the URL.
LOST = ("registrar status", "listener check", "listener stats", "listener export")


class Deployment:
    """The service with a sandbox and a Redis of its own that wants a password."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        options = {"requirepass": REDIS_PASSWORD}
        stack.enter_context(redis_process.running(folder / "redis", options=options))
        self.sandbox = stack.enter_context(
            Sandbox(
                key=PROVIDER["THINGSPACE_KEY"],
                secret=PROVIDER["THINGSPACE_SECRET"],
                username=PROVIDER["THINGSPACE_USERNAME"],
                password=PROVIDER["THINGSPACE_PASSWORD"],
            )
        )
        self.redis_url = f"unix://:{REDIS_PASSWORD}@{folder}/redis/redis.sock"
        settings = {
            **self.sandbox.environment(),
            **PROVIDER,
            **CALLBACK,
            "CALLBACK_USERNAME": "listener",
            "REDIS_URL": self.redis_url,
            "REGISTRAR_INTERVAL_S": "1",
            "LOG_LEVEL": "debug",
        }
        self.commands = stack.enter_context(Commands(self.redis_url))
        self.service = stack.enter_context(Service(*SUPERVISED, **settings))

    def everything_in_redis(self) -> str:
        # The fields of fingerprints are no text.
        options: dict[str, Any] = {"decode_responses": True, "encoding_errors": "replace"}
        with redis.Redis.from_url(self.redis_url, **options) as client:
            keys: Any = list(client.scan_iter())
            values = [f"{key} {self._value(client, key)}" for key in keys]
            return "\n".join([*values, str(client.client_list())])

    def refuse_writes(self, *, refuse: bool) -> None:
        with redis.Redis.from_url(self.redis_url) as client:
            client.config_set("min-replicas-to-write", int(refuse))

    @staticmethod
    def _value(client: "redis.Redis", key: str) -> object:
        readers: dict[Any, Any] = {
            "stream": lambda: client.xrange(key),
            "string": lambda: client.get(key),
            "hash": lambda: client.hgetall(key),
            "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        }
        return readers[client.type(key)]()


class Commands:
    """Every command that Redis is sent, as its MONITOR tells; what is sent to sign in it withholds."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        # It listens for as long as nobody says anything.
        self._client = redis.Redis.from_url(redis_url, decode_responses=True, socket_timeout=None)
        self._lines: list[str] = []
        self._monitor = self._client.monitor().__enter__()  # type: ignore[no-untyped-call]
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with redis.Redis.from_url(self._url) as another:
            another.echo("the end")
        self._thread.join()
        self._monitor.__exit__(None, None, None)
        self._client.close()

    def text(self) -> str:
        return "\n".join(list(self._lines))

    def _listen(self) -> None:
        for command in self._monitor.listen():
            self._lines.append(command["command"])
            if command["command"] == "ECHO the end":
                return


@pytest.fixture
def deployment(redis_server: str) -> Iterator[Deployment]:
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="fota-") as folder:
        yield Deployment(stack, Path(folder))
        # The service must be gone before its files are.
        stack.close()


def registered_url(deployment: Deployment) -> str:
    wait_until(lambda: deployment.sandbox.registered_url() is not None, deployment.service.log)
    return str(deployment.sandbox.registered_url())


def send_good_and_bad(deployment: Deployment, path: str, note: str = "") -> None:
    message = {"type": "upgradeFinished", "accountName": deployment.sandbox.account, "note": note}
    assert deployment.sandbox.send(message, wait=True)["result"] == "acknowledged"
    for login in (CALLBACK["CALLBACK_PASSWORD_PREVIOUS"], "planted-sent-wrong"):
        body = {**message, "n": login[-5:], "username": "listener", "password": login}
        deployment.service.post(json.dumps(body), path)
    deployment.service.post('{"password": "planted-sent-broken", ', path)
    deployment.service.post("{}", "/cb/planted-sent-token")
    misshapen: dict[str, Any] = {"username": "listener", "password": CALLBACK["CALLBACK_PASSWORD"]}
    misshapen |= {"type": "firmwareList", "PASSWORD": "planted-sent-upper", "firmwareList": 1}
    assert deployment.service.post(json.dumps(misshapen), path).status_code == 400


@pytest.mark.slow
def test_no_secret_shows_in_logs_errors_redis_files_pages_or_commands(
    deployment: Deployment,
) -> None:
    assert registered_url(deployment).endswith("/cb/planted-callback-token")
    send_good_and_bad(deployment, "/cb/planted-callback-token")
    # Bad days: the provider echoes and fails, the session dies, Redis refuses, so that messages wait
    # in the spool.
    for shape in ("html-bad-gateway", "gateway-invalid-credentials", "session-expired"):
        deployment.sandbox.fault(path="/api/fota", shape=shape)
    deployment.sandbox.fault(
        path="/api/fota", status=400, body=f'{{"errorMessage": "{CALLBACK["CALLBACK_TOKEN"]}"}}'
    )
    calls = len(deployment.sandbox.requests(path="/api/fota"))
    deployment.refuse_writes(refuse=True)
    send_good_and_bad(deployment, "/cb/planted-callback-token", note="spooled")
    spooled = files_of(deployment.service)
    assert "spooled" in spooled
    deployment.refuse_writes(refuse=False)
    wait_until(
        lambda: len(deployment.sandbox.requests(path="/api/fota")) > calls + 6,
        deployment.service.log,
    )

    pages = {path: page(deployment.service, path) for path in PAGES}
    stored = deployment.everything_in_redis()
    assert "upgradeFinished" in stored
    assert "quarantine" in stored
    shown = outputs_of(deployment, OPERATORS)
    lost = f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"
    deployment.service.signal()
    assert deployment.service.wait() == 0, deployment.service.log()
    commands = deployment.commands.text()
    assert "EVAL" in commands

    places = {
        **pages,
        **shown,
        **{f"{name}, no Redis": text for name, text in outputs_of(deployment, LOST, lost).items()},
        "log": deployment.service.log(),
        "redis": stored,
        "commands": commands,
        "spool": spooled,
        "files": files_of(deployment.service),
    }
    assert all(places.values()), [place for place, text in places.items() if not text]
    found = {place: [trace for trace in TRACES if trace in text] for place, text in places.items()}
    assert not any(found.values()), found


def page(service: Service, path: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{service.ops_url}{path}", timeout=10)
        return f"{answer.headers} {answer.text}"


def outputs_of(
    deployment: Deployment, programs: tuple[str, ...], redis_url: str = ""
) -> dict[str, str]:
    """What each of an operator's programs prints, all of them at the same time."""
    settings = deployment.service.settings | ({"REDIS_URL": redis_url} if redis_url else {})
    with ExitStack() as stack:
        running = {
            program: stack.enter_context(Service("python", "-m", *program.split(), **settings))
            for program in programs
        }
        for program in running.values():
            assert program.wait() in (0, 1), program.log()
        return {name: program.log() for name, program in running.items()}


def files_of(service: Service) -> str:
    return "\n".join(path.read_text(errors="replace") for path in written_by(service))


def written_by(service: Service) -> list[Path]:
    folder = Path(service.settings["SPOOL_DIR"]).parent
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow
def test_web_workers_do_not_have_the_providers_credentials(deployment: Deployment) -> None:
    registered_url(deployment)
    assert deployment.service.process is not None
    supervisor, *others = deployment.service.family()
    assert isinstance(supervisor, psutil.Process)
    if os.geteuid() == 0:
        # Only root may look: tests/system/registrar/test_memory.py tries it as everybody else.
        assert "planted-provider-password" in str(supervisor.environ())
        assert held_by(supervisor) == set(PROVIDER.values())
    assert len(others) >= 3
    for process in others:
        environ = process.environ()
        assert environ["REDIS_URL"] == deployment.redis_url
        assert not set(PROVIDER) & set(environ)
        assert not [value for value in PROVIDER.values() if value in str(environ)]
        assert held_by(process) == set()


def held_by(process: psutil.Process) -> set[str]:
    """Those of the provider's credentials that stand anywhere in a process's memory."""
    found: set[str] = set()
    folder = Path(f"/proc/{process.pid}")
    with (folder / "mem").open("rb", buffering=0) as memory:
        for line in (folder / "maps").read_text().splitlines():
            span, rights, *_ = line.split()
            # What is written to; not the kernel's own pages.
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(text, 16) for text in span.split("-"))
                memory.seek(start)
                try:
                    content = memory.read(end - start)
                except OSError:
                    # Given back since the list was read.
                    continue
                found |= {value for value in PROVIDER.values() if value.encode() in content}
    return found


def test_wrong_settings_do_not_show_their_values() -> None:
    settings = dict.fromkeys([*PROVIDER, *CALLBACK, "REDIS_URL", "PORT"], "planted secret/")
    with Service(*SUPERVISED, **settings) as service:
        assert service.wait() == 2
        assert "CALLBACK_TOKEN: " in service.log()
        assert "planted" not in service.log()


# The worst that a library could do: it puts a secret into the message of an error that nobody expects.
FAILS = """
import os
from listener import logs
from listener.callback.app import create_app
from listener.settings.settings import Settings

settings = Settings.from_env()
logs.configure(settings.log_format, settings.log_level, settings.secrets)

class Queue:
    def put(self, message):
        password = settings.callback_password.reveal()
        raise KeyError(password, os.environ["REDIS_URL"], settings.callback_token.reveal())

client = create_app(settings, queue=Queue()).test_client()
body = {"username": "listener", "password": settings.callback_password.reveal()}
answer = client.post("/cb/" + settings.callback_token.reveal(), json=body)
print(answer.status_code, answer.headers, answer.text)
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_an_unexpected_errors_traceback_shows_no_secret(log_format: str) -> None:
    settings = {
        **CALLBACK,
        "CALLBACK_USERNAME": "listener",
        "REDIS_URL": f"redis://:{REDIS_PASSWORD}@localhost/0",
        "LOG_FORMAT": log_format,
        "LOG_LEVEL": "debug",
    }
    with Service("python", "-c", FAILS, **settings) as program:
        assert program.wait() == 0, program.log()
        told = program.log()
    assert "Traceback" in told
    assert "KeyError" in told
    assert "503" in told
    assert not [trace for trace in TRACES if trace in told], told
