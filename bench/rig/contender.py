"""Starts a contender as its users would, with the same settings for all, and watches it."""

import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.load.messages import PASSWORD, USERNAME
from bench.rig import environment, process_usage
from bench.rig.environment import ROOT
from testbed.ports import free_port

WORKERS = 2
START_TIMEOUT_S = 30.0
# Per worker: twice as many as the connections that one of two gets of the most that are measured.
FLASK_THREADS = 32
NAMES = ("ours", "fastapi", "flask", "fastify")


@dataclass(frozen=True)
class Contender:
    """How one is started: a command with `{port}` in it, in a folder."""

    name: str
    title: str
    command: tuple[str, ...]
    folder: Path = ROOT


class FailedError(Exception):
    """A contender did not start, or did not do what all of them must; the message says what."""


def find(name: str) -> Contender | None:
    """A contender by name; None if this machine cannot run it.

    Args:
        name: one of `NAMES`, or `ours=FOLDER`: the service in another checkout, to compare two.

    Raises:
        KeyError: there is no such contender.
        environment.MissingToolError: what it needs could not be installed.
    """
    kind, _, folder = name.partition("=")
    if kind == "ours":
        return ours(folder)
    if name == "fastify":
        server = environment.node_server()
        return Contender(name, "Fastify, ioredis", ("node", str(server))) if server else None
    return PYTHON_CONTENDERS[name](str(environment.python()))


def ours(folder: str = "") -> Contender:
    """The service as it is deployed: of this checkout, or of another."""
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
            *(
                python,
                "-m",
                "gunicorn",
                "--pythonpath",
                str(ROOT),
                "bench.contenders.flask_app:app",
            ),
            *("--worker-class", "gthread", "--threads", str(FLASK_THREADS)),
            *("--workers", str(WORKERS), "--bind", "127.0.0.1:{port}"),
        ),
        # Not where the service's gunicorn.conf.py would be found.
        folder=ROOT / "bench" / "contenders",
    ),
}


@dataclass(frozen=True)
class Server:
    """A contender that runs."""

    contender: Contender
    port: int
    pid: int
    log: Path

    def processes(self) -> list[psutil.Process]:
        """Its first process, and all workers."""
        return process_usage.family(self.pid)


@contextmanager
def running(
    contender: Contender, redis_url: str, *, log_level: str = "info", **settings: str
) -> Iterator[Server]:
    """Runs a contender while the block runs; ends its processes then.

    Args:
        contender: which.
        redis_url: of the Redis that it writes to.
        log_level: `info`: a line for each message, in all contenders; `warning`: none.
        settings: more of its environment.

    Raises:
        FailedError: it was not ready in time.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="fota-bench-") as folder:
        environ = _environ(port, redis_url, log_level, Path(folder)) | settings
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [word.replace("{port}", str(port)) for word in contender.command],
                cwd=contender.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(contender, port, process.pid, log)
        try:
            _wait_until_ready(server, process)
            yield server
        finally:
            _end(process)


def _environ(port: int, redis_url: str, log_level: str, folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PORT": str(port),
        "REDIS_URL": redis_url,
        "WEB_CONCURRENCY": str(WORKERS),
        "CALLBACK_USERNAME": USERNAME,
        "CALLBACK_PASSWORD": PASSWORD,
        "LOG_LEVEL": log_level,
        # What other services have left behind in the common one is none of ours.
        "TMPDIR": str(folder),
        # The service's own.
        "PUBLIC_URL": f"http://127.0.0.1:{port}/cb",
        "OPS_BIND": f"127.0.0.1:{free_port()}",
        "SPOOL_DIR": str(folder / "spool"),
        # The others'.
        "ENQUEUE": str(ROOT / "bench" / "contenders" / "enqueue.lua"),
        "NODE_ENV": "production",
    }


def _wait_until_ready(server: Server, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    # A proxy in the environment is for others than this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and process.poll() is None:
        try:
            url = f"http://127.0.0.1:{server.port}/readyz"
            # Master, and as many workers as are wanted: one that starts late would be measured too.
            if opener.open(url, timeout=2).status == 200 and len(server.processes()) > WORKERS:
                return
        except OSError:
            # Not up yet: ask again until the deadline.
            pass
        time.sleep(0.05)
    log = server.log.read_text(errors="replace")[-2000:]
    raise FailedError(f"{server.contender.name} was not ready in time: {log}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    members = process_usage.family(process.pid) if process.poll() is None else []
    process.terminate()
    _, alive = psutil.wait_procs(members, timeout=5)
    for member in alive:
        member.kill()
    process.wait()
