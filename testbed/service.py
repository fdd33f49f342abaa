"""Starts the service as an operator does, as real processes, and looks at it from outside.

It imports none of our packages, so that system tests can use it.
"""

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import psutil
import requests

from testbed.polling import DEADLINE_S, wait_until
from testbed.ports import free_port
from testbed.process import BIN, ROOT, log_file

RECEIVER = ("gunicorn", "listener.wsgi:app")
SUPERVISED = ("python", "-m", "registrar", "run", "--", *RECEIVER)


class Service:
    """A command with settings of its own, on a free port; a context manager that leaves nothing.

    Args:
        command: what to run, found beside this interpreter first; `{port}` in it becomes the port.
        settings: its environment, besides the PATH and what every service of the tests has.

    Attributes:
        folder: set before the start, its working directory in place of the repository's root.
        stderr: set before the start, a file descriptor for its standard error in place of the log, such
            as that of a pipe that nobody reads (`testbed.log_reader`). `log` does not show what goes there.
    """

    folder: Path = ROOT
    stderr: int | None = None

    def __init__(self, *command: str, **settings: str) -> None:
        self.port = free_port()
        self.ops_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ops_url = f"http://127.0.0.1:{self.ops_port}"
        self._folder = tempfile.TemporaryDirectory(prefix="fota-")
        self.settings = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PORT": str(self.port),
            "OPS_BIND": f"127.0.0.1:{self.ops_port}",
            "WEB_CONCURRENCY": "2",
            "PUBLIC_URL": f"{self.url}/cb",
            "SPOOL_DIR": f"{self._folder.name}/spool",
            **settings,
        }
        self._command = command
        self._log = log_file()
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()
        self._folder.cleanup()

    def start(self) -> None:
        """Starts it, or starts it again."""
        self.process = subprocess.Popen(
            [word.replace("{port}", str(self.port)) for word in self._command],
            cwd=self.folder,
            env=self.settings,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT if self.stderr is None else self.stderr,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        """Returns once `/readyz` answers 200."""
        wait_until(lambda: self.ready() or self.ended(), self.log)
        assert self.ready(), self.log()

    def ready(self) -> bool:
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def post(self, data: Any, path: str = "/cb", **options: Any) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.post(f"{self.url}{path}", data=data, timeout=10, **options)

    def signal(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, timeout_s: float = DEADLINE_S) -> int:
        """Waits for its end; its exit status."""
        assert self.process is not None
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Ends it and everything that it started, without ceremony."""
        if self.process is None:
            return
        for process in self.family():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                # It ended in the meantime.
                pass
        self.process.wait()

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants that are alive."""
        assert self.process is not None
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def log(self) -> str:
        """All that it and its children have written."""
        with open(self._log.fileno(), closefd=False) as log:
            log.seek(0)
            return log.read()

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None
