"""Waits until COMMAND is ready: only then may ThingSpace send.

Our own application reports where it listens. Of any other COMMAND, what answers at PORT is taken for it, so nobody else
may be there when COMMAND starts.
"""

import http.client
import re
import shlex
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from listener.server import address_report
from listener.server.address_report import ListeningAddress
from registrar.errors import AddressUnknownError, UnavailableError
from registrar.http.request import Timeouts, request

log = structlog.get_logger("registrar")

EVERY_S = 0.2
LIMITS = Timeouts(1.0, 2.0)
# Longer than a listener takes to start: after that somebody should know.
PATIENCE_S = 10.0
# COMMAND may listen on either alone: the machine may lack the other one, or --bind says so.
HOSTS = ("127.0.0.1", "::1")
# Longer than any start: after that no report will come.
REPORT_WITHIN_S = 60.0
OUR_APPLICATION = "listener.wsgi"
# In one word too (-b0.0.0.0:9000); not -bb, which is an option of Python's.
BIND_FORM = re.compile(r"(-b|--bind)\b|-b[^-]*[:.\d]")
# As long as gunicorn itself tries.
FREE_WITHIN_S = 5.0


def wait_for_free_port(
    port: int, wait: Callable[[float], bool], *, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Returns True once nobody listens at a port, False if somebody still does when time is up.

    Args:
        port: of this machine.
        wait: sleeps so many seconds, and returns True early if the process is to stop: time is up.
        clock: monotonic seconds.
    """
    until = clock() + FREE_WITHIN_S
    told = False
    while is_taken(port):
        if not told:
            log.warning("waiting for the port to be free", port=port)
            told = True
        if clock() >= until or wait(EVERY_S):
            return False
    return True


def is_taken(port: int) -> bool:
    """Whether somebody listens where the readiness check will ask."""
    return any(_listens(host, port) for host in HOSTS)


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except TimeoutError:
        # One that is too busy to take a connection; a free port refuses it at once.
        return True
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class Listening:
    """Where COMMAND listens: as it reports itself, else at PORT.

    Args:
        port: PORT, on this machine.
        report: the file into which COMMAND writes its addresses (`listener.server.address_report`); None: there is none.
        is_expected: whether COMMAND surely writes it, so that nothing else may be taken for COMMAND.
        has_own_address: whether COMMAND's words name an address, so that PORT is not its own.
    """

    port: int
    report: Path | None
    is_expected: bool
    has_own_address: bool = False

    @classmethod
    def of(
        cls, port: int, report: Path | None, argv: Sequence[str], environ: Mapping[str, str]
    ) -> "Listening":
        """Looks at COMMAND's words: our own application reports, and an address of its own choice cannot be guessed."""
        words = _split(environ.get("GUNICORN_CMD_ARGS", ""))
        has_own_address = any(BIND_FORM.match(word) for word in (*argv, *words))
        reports = report is not None and OUR_APPLICATION in " ".join(argv)
        return cls(port, report, has_own_address or reports, has_own_address)

    def addresses(self) -> list[ListeningAddress]:
        """The addresses to ask; none while COMMAND has to report and has not.

        Raises:
            AddressUnknownError: the report cannot be read, or names no address.
        """
        try:
            reported = address_report.read(self.report) if self.report else None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise AddressUnknownError(type(error).__name__) from error
        if reported is None:
            return [] if self.is_expected else [(host, self.port) for host in HOSTS]
        if not reported:
            raise AddressUnknownError("the command listens at no public address")
        return [each for address in reported for each in _reachable(address)]

    def without_report(self) -> "Listening":
        """What to ask after a report has not come: PORT, unless COMMAND was given another address.

        Raises:
            AddressUnknownError: it was.
        """
        if self.has_own_address:
            raise AddressUnknownError(
                "the command did not report where it listens, and --bind names an address of its own"
            )
        log.warning(
            "the command did not report where it listens", problem=self._problem(), asks=self.port
        )
        return replace(self, is_expected=False)

    def _problem(self) -> str:
        if self.report is None:
            return "there is no file to report into"
        folder = self.report.parent
        return f"{self.report} was not written" if folder.is_dir() else f"{folder} is not there"


def _split(words: str) -> list[str]:
    """The words; none if a quote is open: gunicorn itself then refuses to start, and says why."""
    try:
        return shlex.split(words)
    except ValueError:
        return []


def wait_until_ready(
    listening: Listening,
    wait: Callable[[float], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Returns True once the readiness check answers 200, False if the process is to stop.

    Args:
        listening: where to ask.
        wait: sleeps so many seconds, and returns True early if the process is to stop.
        clock: monotonic seconds.

    Raises:
        AddressUnknownError: COMMAND listens at an address of its own, and does not say where.
    """
    began = clock()
    warned = False
    while True:
        addresses = listening.addresses()
        if any(map(is_ready, addresses)):
            return True
        waited_s = clock() - began
        if not addresses and waited_s >= REPORT_WITHIN_S:
            listening = listening.without_report()
        if waited_s >= PATIENCE_S and not warned:
            log.warning("waiting for the listener to be ready", addresses=addresses)
            warned = True
        if wait(EVERY_S):
            return False


def is_ready(address: ListeningAddress) -> bool:
    """Whether the readiness check at an address of this machine answers 200."""
    if isinstance(address, str):
        return _is_ready_at_socket(address)
    host, port = address
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"
    try:
        # A proxy for the outside world does not lead to our own machine.
        return request("GET", url, LIMITS, trust_env=False).status == 200
    except UnavailableError:
        return False


def _reachable(address: ListeningAddress) -> list[ListeningAddress]:
    if isinstance(address, str):
        return [address]
    hosts = {"0.0.0.0": HOSTS[:1], "::": HOSTS}.get(address[0], (address[0],))
    return [(host, address[1]) for host in hosts]


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, which requests does not do."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def _is_ready_at_socket(path: str) -> bool:
    connection = _SocketConnection(path, timeout=LIMITS.read_s)
    try:
        connection.request("GET", "/readyz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
