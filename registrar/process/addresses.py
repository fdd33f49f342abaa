"""The addresses at which COMMAND listens: those of its report, else PORT. Nothing is connected to here."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from listener.server import address_report
from listener.server.address_report import ListeningAddress
from registrar.errors import AddressUnknownError

log = structlog.get_logger("registrar")

# COMMAND may listen on either alone: the machine may lack the other one, or --bind says so.
LOOPBACK_HOSTS = ("127.0.0.1", "::1")
OUR_APPLICATION = "listener.wsgi"
# In one word too (-b0.0.0.0:9000); not -bb, which is an option of Python's.
BIND_RE = re.compile(r"(-b|--bind)\b|-b[^-]*[:.\d]")


@dataclass(frozen=True)
class ChildAddresses:
    """Where COMMAND listens.

    Attributes:
        port: PORT, on this machine.
        report: the file into which COMMAND writes its addresses (`listener.server.address_report`); None: no file.
        report_required: whether only the report counts, so that nothing else at PORT is taken for COMMAND.
        has_own_address: whether COMMAND's arguments name an address, so that PORT is not COMMAND's own.
    """

    port: int
    report: Path | None
    report_required: bool
    has_own_address: bool = False

    @classmethod
    def of(
        cls, port: int, report: Path | None, argv: Sequence[str], environ: Mapping[str, str]
    ) -> "ChildAddresses":
        """What COMMAND's arguments say: our own application reports, and nobody can guess an address of its own."""
        arguments = (*argv, *_split(environ.get("GUNICORN_CMD_ARGS", "")))
        has_own_address = any(BIND_RE.match(argument) for argument in arguments)
        reports = report is not None and OUR_APPLICATION in " ".join(argv)
        return cls(port, report, has_own_address or reports, has_own_address)

    def now(self) -> list[ListeningAddress]:
        """The addresses that are known now; none before a report that is required.

        Raises:
            AddressUnknownError: the report cannot be read, or names no address.
        """
        try:
            reported = address_report.read(self.report) if self.report else None
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise AddressUnknownError(type(error).__name__) from error
        if reported is None:
            if self.report_required:
                return []
            return [(host, self.port) for host in LOOPBACK_HOSTS]
        if not reported:
            raise AddressUnknownError("the command listens at no public address")
        return [each for address in reported for each in _reachable(address)]

    def without_report(self) -> "ChildAddresses":
        """PORT in place of a report that did not come, unless COMMAND was given another address.

        Raises:
            AddressUnknownError: COMMAND was given another address.
        """
        if self.has_own_address:
            raise AddressUnknownError(
                "the command did not report where it listens, and --bind names an address of its own"
            )
        log.warning(
            "the command did not report where it listens", problem=self._problem(), asks=self.port
        )
        return replace(self, report_required=False)

    def _problem(self) -> str:
        if self.report is None:
            return "there is no file to report into"
        folder = self.report.parent
        return f"{self.report} was not written" if folder.is_dir() else f"{folder} is not there"


def _split(arguments: str) -> list[str]:
    """The arguments; none if a quote is open: gunicorn itself then refuses to start, and says why."""
    try:
        return shlex.split(arguments)
    except ValueError:
        return []


def _reachable(address: ListeningAddress) -> list[ListeningAddress]:
    """The addresses under which this machine reaches a listening one."""
    if isinstance(address, str):
        return [address]
    hosts = {"0.0.0.0": LOOPBACK_HOSTS[:1], "::": LOOPBACK_HOSTS}.get(address[0], (address[0],))
    return [(host, address[1]) for host in hosts]
