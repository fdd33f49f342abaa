"""Starts the sandbox as a process of its own, and talks to it.

It imports none of our packages, so that system tests can use it:

    with Sandbox(duplicate_after=0.3) as sandbox:
        run_the_service(sandbox.environment())
        assert sandbox.send(message, wait=True)["result"] == "acknowledged"
"""

import re
import selectors
import subprocess
import sys
from typing import Any, Self

import requests

from testbed.process import ChildProcess

READY = re.compile(r"http://[^ ]+/api")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 60.0


class SandboxFailedError(Exception):
    """The process did not come up, or refused what it was asked; the message says why."""


class Sandbox:
    """A running `python -m sandbox` on a free port, as a context manager.

    The process ends with `stop`, with the block, and, because it watches its standard input, also
    when the test's own process is killed.

    Args:
        accounts: those that the sandbox knows.
        options: any of its command-line options: `duplicate_after=0.3` is `--duplicate-after 0.3`,
            `allow_http=True` is `--allow-http`.
    """

    key = "test-key"
    secret = "test-secret"
    username = "test-user"
    password = "test-password"

    def __init__(
        self, *, accounts: tuple[str, ...] = ("0242078689-00001",), **options: str | float | bool
    ) -> None:
        self.accounts = accounts
        self.account = accounts[0]
        self.base_url = ""
        self._arguments = [
            *(f"--account={account}" for account in accounts),
            *(argument(name, value) for name, value in options.items() if value is not False),
        ]
        self._process: ChildProcess | None = None
        self._errors = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def root_url(self) -> str:
        """Without the `/api` of `base_url`."""
        return self.base_url.removesuffix("/api")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def environment(self) -> dict[str, str]:
        """The registrar's settings that lead it here."""
        return {
            "THINGSPACE_BASE_URL": self.base_url,
            "THINGSPACE_KEY": self.key,
            "THINGSPACE_SECRET": self.secret,
            "THINGSPACE_USERNAME": self.username,
            "THINGSPACE_PASSWORD": self.password,
            "THINGSPACE_ACCOUNTS": ",".join(self.accounts),
        }

    def start(self) -> None:
        """Starts it, and returns once it is ready. Raises SandboxFailedError."""
        login = ("key", "secret", "username", "password")
        process = self._process = ChildProcess(
            *(sys.executable, "-m", "sandbox", "--port=0", "--exit-on-eof"),
            *(argument(name, getattr(self, name)) for name in login),
            *self._arguments,
        )
        process.stdin = process.stdout = subprocess.PIPE
        process.start()
        try:
            self.base_url = self._read_base_url()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> int:
        """Ends the process, by SIGTERM; its exit status. It may be called again."""
        if self._process is None:
            return 0
        status = self._process.stop(STOP_TIMEOUT_S)
        self._errors = self._process.log()
        self._process.close()
        self._process = None
        return status

    def errors(self) -> str:
        """What the process wrote to its standard error, also after its end."""
        return self._process.log() if self._process else self._errors

    def send(
        self,
        message: dict[str, Any],
        *,
        version: str | None = None,
        account: str | None = None,
        as_given: bool = False,
        wait: bool = False,
    ) -> dict[str, Any]:
        """Has a message sent: `{"id": …}` at once or, with `wait`, the whole delivery at its end."""
        query = {"version": version, "account": account, "as_given": as_given, "wait": wait}
        parameters = {
            name: str(int(value) if value is True else value)
            for name, value in query.items()
            if value
        }
        return self.control("POST", "/messages", json=message, params=parameters)

    def delivery(self, number: int) -> dict[str, Any]:
        return self.control("GET", "/deliveries", params={"id": str(number)})

    def deliveries(self, after: int = 0) -> list[dict[str, Any]]:
        """Those whose id is above `after`."""
        return self._list("deliveries", after)

    def counts(self) -> dict[str, int]:
        """How many deliveries ended how."""
        answer = self.control("GET", "/deliveries", params={"after": str(10**9)})
        counts: dict[str, int] = answer["counts"]
        return counts

    def requests(
        self, after: int = 0, *, path: str = "/", method: str | None = None
    ) -> list[dict[str, Any]]:
        """The REST calls whose id is above `after` and whose path begins with `path`."""
        return [
            call
            for call in self._list("requests", after)
            if call["path"].startswith(path) and method in {None, call["method"]}
        ]

    def registrations(self) -> dict[str, list[dict[str, Any]]]:
        """`registrations`, the present ones, and `history`, every change."""
        return self.control("GET", "/registrations")

    def registered_url(self, version: str = "v1", account: str | None = None) -> str | None:
        """The URL that is registered now."""
        wanted = (version, account or self.account)
        for found in self.registrations()["registrations"]:
            if (found["version"], found["account"]) == wanted:
                return str(found["url"])
        return None

    def register_outside(
        self, url: str, *, version: str = "v1", account: str | None = None, **login: str
    ) -> None:
        """Registers a URL as another owner would; `username` and `password` for v1."""
        path = f"/registrations/{version}/{account or self.account}"
        self.control("PUT", path, json={"url": url, **login})

    def deregister_outside(self, *, version: str = "v1", account: str | None = None) -> None:
        self.control("DELETE", f"/registrations/{version}/{account or self.account}")

    def fault(self, path: str = "/api", **fields: Any) -> None:
        """Makes the next calls of a path fail: see `POST /sandbox/faults`."""
        self.control("POST", "/faults", json={"path": path, **fields})

    def clear_faults(self) -> None:
        self.control("DELETE", "/faults")

    def lock_state(self) -> dict[str, Any]:
        """`locked`, `failed_logins` and `live_sessions`."""
        return self.control("GET", "/account")

    def unlock(self) -> None:
        """What Verizon Support does."""
        self.control("POST", "/unlock")

    def control(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """A call of `/sandbox/…`.

        Raises:
            SandboxFailedError: it was refused.
        """
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.root_url}/sandbox{path}"
            answer = session.request(method, url, timeout=CALL_TIMEOUT_S, **arguments)
        if not answer.ok:
            raise SandboxFailedError(f"{method} {path}: {answer.status_code} {answer.text}")
        found: dict[str, Any] = answer.json()
        return found

    def _list(self, name: str, after: int) -> list[dict[str, Any]]:
        answer = self.control("GET", f"/{name}", params={"after": str(after)})
        listed: list[dict[str, Any]] = answer[name]
        return listed

    def _read_base_url(self) -> str:
        assert self._process is not None
        output = self._process.output
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            line = output.readline() if selector.select(START_TIMEOUT_S) else ""
        if found := READY.search(line):
            return found[0]
        raise SandboxFailedError(f"The sandbox did not come up: {line}{self.errors()}")


def argument(name: str, value: str | float | bool) -> str:
    """A command-line option from a Python name and a value; True: the bare option."""
    option = f"--{name.replace('_', '-')}"
    return option if value is True else f"{option}={value}"
