"""Secrets planted in every setting, through good days and bad: none shows up where it must not."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from sandbox import embedded_redis
from tests.sandbox_process import Sandbox
from tests.service_process import SUPERVISED, Service, wait_until

PROVIDER = {
    "THINGSPACE_KEY": "planted-provider-key",
    "THINGSPACE_SECRET": "planted-provider-secret",
    "THINGSPACE_USERNAME": "planted-provider-user",
    "THINGSPACE_PASSWORD": "planted-provider-password",
}
CALLBACK = {
    "CALLBACK_TOKEN": "planted-token",
    "CALLBACK_TOKEN_PREVIOUS": "planted-token-before",
    "CALLBACK_PASSWORD": 'planted-password-"quoted"',
    "CALLBACK_PASSWORD_PREVIOUS": "planted-password-before",
}
REDIS_PASSWORD = "planted-redis-password"
SECRETS = [*PROVIDER.values(), *CALLBACK.values(), REDIS_PASSWORD]
# As they look inside JSON, where the quotation marks are escaped.
TRACES = [*SECRETS, 'planted-password-\\"quoted', "planted-sent"]


class World:
    """The service with a sandbox and a Redis of its own that wants a password."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.folder = folder
        options = {"requirepass": REDIS_PASSWORD}
        stack.enter_context(embedded_redis.running(folder / "redis", options=options))
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
        self.service = stack.enter_context(Service(*SUPERVISED, **settings))

    def everything_in_redis(self) -> str:
        with redis.Redis.from_url(self.redis_url, decode_responses=True) as client:
            keys: Any = list(client.scan_iter())
            return "\n".join(f"{key} {self._value(client, key)}" for key in keys)

    @staticmethod
    def _value(client: "redis.Redis", key: str) -> object:
        readers: dict[Any, Any] = {
            "stream": lambda: client.xrange(key),
            "string": lambda: client.get(key),
            "hash": lambda: client.hgetall(key),
            "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        }
        return readers[client.type(key)]()


@pytest.fixture
def world(redis_server: str) -> Iterator[World]:
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="fota-") as folder:
        yield World(stack, Path(folder))
        # The service must be gone before its files are.
        stack.close()


def registered_url(world: World) -> str:
    wait_until(lambda: world.sandbox.registered_url() is not None, world.service.log)
    return str(world.sandbox.registered_url())


def send_good_and_bad(world: World, path: str) -> None:
    message = {"type": "upgradeFinished", "accountName": world.sandbox.account}
    assert world.sandbox.send(message, wait=True)["result"] == "acknowledged"
    for login in (CALLBACK["CALLBACK_PASSWORD_PREVIOUS"], "planted-sent-wrong"):
        body = {**message, "n": login[-5:], "username": "listener", "password": login}
        world.service.post(json.dumps(body), path)
    world.service.post('{"password": "planted-sent-broken", ', path)
    world.service.post("{}", "/cb/planted-sent-token")
    misshapen: dict[str, Any] = {"username": "listener", "password": CALLBACK["CALLBACK_PASSWORD"]}
    misshapen |= {"type": "firmwareList", "PASSWORD": "planted-sent-upper", "firmwareList": 1}
    assert world.service.post(json.dumps(misshapen), path).status_code == 400


def test_no_secret_shows_in_logs_errors_redis_or_files(world: World) -> None:
    assert registered_url(world).endswith("/cb/planted-token")
    send_good_and_bad(world, "/cb/planted-token")
    # Bad days: the provider echoes and fails, the session dies, another owner takes the URL.
    for shape in ("html-bad-gateway", "gateway-invalid-credentials", "session-expired"):
        world.sandbox.fault(path="/api/fota", shape=shape)
    world.sandbox.fault(
        path="/api/fota", status=400, body=f'{{"errorMessage": "{CALLBACK["CALLBACK_TOKEN"]}"}}'
    )
    calls = len(world.sandbox.requests(path="/api/fota"))
    wait_until(lambda: len(world.sandbox.requests(path="/api/fota")) > calls + 6, world.service.log)
    status = Service("python", "-m", "registrar", "status", "--json", **world.service.settings)
    with status:
        assert status.wait() in (0, 1)
        shown = status.log()
    assert "registered" in shown or "url" in shown
    stored = world.everything_in_redis()
    assert "upgradeFinished" in stored
    assert "quarantine" in stored
    world.service.signal()
    assert world.service.wait() == 0, world.service.log()

    files = [path.read_text(errors="replace") for path in written_by(world.service)]
    places = {"log": world.service.log(), "status": shown, "redis": stored, "files": str(files)}
    for place, text in places.items():
        found = [trace for trace in TRACES if trace in text]
        assert not found, f"{place}: {found}"


def written_by(service: Service) -> list[Path]:
    folder = Path(service.settings["SPOOL_DIR"]).parent
    return [path for path in folder.rglob("*") if path.is_file()]


def test_web_workers_do_not_have_the_providers_credentials(world: World) -> None:
    registered_url(world)
    assert world.service.process is not None
    supervisor, *others = world.service.family()
    assert isinstance(supervisor, psutil.Process)
    assert "planted-provider-password" in str(supervisor.environ())
    assert len(others) >= 3
    for process in others:
        environ = process.environ()
        assert environ["REDIS_URL"] == world.redis_url
        assert not set(PROVIDER) & set(environ)
        assert not [value for value in PROVIDER.values() if value in str(environ)]


def test_wrong_settings_do_not_show_their_values() -> None:
    settings = dict.fromkeys([*PROVIDER, *CALLBACK, "REDIS_URL", "PORT"], "planted secret/")
    with Service(*SUPERVISED, **settings) as service:
        assert service.wait() == 2
        assert "CALLBACK_TOKEN: " in service.log()
        assert "planted" not in service.log()
