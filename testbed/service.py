"""The service as an operator starts it, and what it looks like from outside."""

import os
import tempfile
from typing import Any

import requests

from testbed.polling import wait_until
from testbed.ports import free_port
from testbed.process import BIN, ChildProcess

RECEIVER = ("gunicorn", "listener.wsgi:app")
SUPERVISED = ("python", "-m", "registrar", "run", "--", *RECEIVER)


class Service(ChildProcess):
    """A command with settings of its own, on a free port.

    Args:
        command: what to run, found beside this interpreter first; `{port}` in it becomes the port.
        settings: its environment, besides the PATH and what every service of the tests has.
    """

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
        words = [word.replace("{port}", str(self.port)) for word in command]
        super().__init__(*words, environ=self.settings)

    def close(self) -> None:
        """Kills it, and removes its files."""
        super().close()
        self._folder.cleanup()

    def wait_until_ready(self) -> None:
        """Returns once `/readyz` answers 200."""
        wait_until(lambda: self.ready() or self.ended(), self.log)
        assert self.ready(), self.log()

    def ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        try:
            with requests.Session() as session:
                session.trust_env = False
                return session.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def post(self, data: Any, path: str = "/cb", **options: Any) -> requests.Response:
        """Posts a body to the service."""
        with requests.Session() as session:
            session.trust_env = False
            return session.post(f"{self.url}{path}", data=data, timeout=10, **options)
