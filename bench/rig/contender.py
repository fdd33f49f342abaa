"""The contenders: how each is started, with the same settings for all."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.load.messages import LOGIN
from bench.rig import environment
from bench.rig.environment import ROOT
from testbed.polling import DeadlineError, wait_until
from testbed.redis_servers import redis_process
from testbed.service import RECEIVER, Service

WORKERS = 2
# Per worker: twice the connections that each of two workers gets in the largest measurement.
FLASK_THREADS = 32
NAMES = ("ours", "fastapi", "flask", "fastify")


@dataclass(frozen=True)
class Contender:
    """A command, in which `{port}` stands for the port, and the folder that it runs in."""

    name: str
    title: str
    command: tuple[str, ...]
    folder: Path = ROOT


def find(name: str) -> Contender | None:
    """A contender by name; None if this machine cannot run it.

    Args:
        name: one of `NAMES`, or `ours=FOLDER`: the service in another checkout, to compare two.

    Raises:
        KeyError: there is no such contender.
        BenchError: its dependencies could not be installed.
    """
    kind, _, folder = name.partition("=")
    if kind == "ours":
        return ours(folder)
    if name == "fastify":
        server = environment.node_server()
        return Contender(name, "Fastify, ioredis", ("node", str(server))) if server else None
    return PYTHON_CONTENDERS[name](str(environment.python()))


def ours(folder: str = "") -> Contender:
    """The service as it is deployed, of this checkout or of another."""
    gunicorn = (str(ROOT / ".venv" / "bin" / "gunicorn"), "listener.wsgi:app")
    title = f"{folder or 'this service'}: Flask, gunicorn (gevent), group commit"
    return Contender(f"ours={folder}" if folder else "ours", title, gunicorn, Path(folder or ROOT))


PYTHON_CONTENDERS: dict[str, Callable[[str], Contender]] = {
    "fastapi": lambda python: Contender(
        "fastapi",
        "FastAPI, uvicorn[standard], pydantic, redis.asyncio",
        (
            *(python, "-m", "uvicorn", "bench.contenders.fastapi_app:app", "--port", "{port}"),
            *("--workers", str(WORKERS), "--no-access-log"),
        ),
    ),
    "flask": lambda python: Contender(
        "flask",
        f"Flask, gunicorn (gthread, {FLASK_THREADS} threads), redis-py",
        (
            *(python, "-m", "gunicorn", "--pythonpath", str(ROOT)),
            *("bench.contenders.flask_app:app", "--bind", "127.0.0.1:{port}"),
            *("--worker-class", "gthread", "--threads", str(FLASK_THREADS)),
            *("--workers", str(WORKERS)),
        ),
        # Outside the root folder, where gunicorn would read the service's gunicorn.conf.py.
        folder=ROOT / "bench" / "contenders",
    ),
}


@contextmanager
def running_contender(
    contender: Contender, redis_url: str, *, log_level: str = "info", **settings: str
) -> Iterator[Service]:
    """Runs a contender for the duration of the block.

    Args:
        contender: which.
        redis_url: of its Redis.
        log_level: `info`: each contender logs a line for each message; `warning`: none does.
        settings: more environment variables.

    Raises:
        BenchError: it did not become ready in time.
    """
    with tempfile.TemporaryDirectory(prefix="fota-bench-") as folder:
        environ = {
            "REDIS_URL": redis_url,
            "WEB_CONCURRENCY": str(WORKERS),
            "CALLBACK_USERNAME": LOGIN["username"],
            "CALLBACK_PASSWORD": LOGIN["password"],
            "LOG_LEVEL": log_level,
            # Temporary files that other services left cost this one nothing.
            "TMPDIR": folder,
            # Of the other contenders.
            "ENQUEUE": str(ROOT / "bench" / "contenders" / "enqueue.lua"),
            "NODE_ENV": "production",
        }
        service = Service(*contender.command, **(environ | settings))
        service.folder = contender.folder
        with service:
            _wait_until_ready(contender, service)
            yield service


@contextmanager
def receiver(**settings: str) -> Iterator[Service]:
    """Runs this checkout's service with a Redis of its own for the duration of the block."""
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
        Service(*RECEIVER, REDIS_URL=url, **settings) as service,
    ):
        service.wait_until_ready()
        yield service


def _wait_until_ready(contender: Contender, service: Service) -> None:
    def is_complete() -> bool:
        # The master and all workers: one that starts late would be measured while it does.
        return service.ready() and len(service.family()) > WORKERS

    with suppress(DeadlineError):
        wait_until(lambda: is_complete() or service.ended(), service.log)
    if not is_complete():
        raise BenchError(f"{contender.name} was not ready in time: {service.log()[-2000:]}")
