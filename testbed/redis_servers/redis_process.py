"""A Redis server as a child process: append-only file, fsync always."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.polling import DeadlineError, wait_until
from testbed.ports import HOST
from testbed.process import ChildProcess
from testbed.redis_servers.discovery import find_server

SOCKET = "redis.sock"
START_TIMEOUT_S = 15.0


class ServerFailedError(Exception):
    """The server did not come up; the message holds the end of its log."""


def arguments(
    directory: Path, *, port: int = 0, options: Mapping[str, str] | None = None
) -> list[str]:
    """The server's command-line options.

    Args:
        directory: where it keeps its append-only file.
        port: of 127.0.0.1 to listen on; 0: only the Unix socket `redis.sock` in `directory`.
        options: more of the server's options, or others than ours.
    """
    chosen = {
        "dir": str(directory),
        "bind": HOST,
        "port": str(port),
        "unixsocket": "" if port else str(directory / SOCKET),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        **(options or {}),
    }
    return [word for name, value in chosen.items() for word in (f"--{name}", value)]


@contextmanager
def running(
    directory: Path, *, port: int = 0, options: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Runs a server while the block runs.

    Args:
        directory: for its files and its log; made if need be, kept afterwards. Without a port a
            short one: a Unix socket's path may have 107 characters.
        port: see `arguments`.
        options: see `arguments`.

    Yields:
        Its URL, `redis://127.0.0.1:PORT/0`, or `unix://…` without a port.

    Raises:
        discovery.ServerNotFoundError: there is no server to start.
        ServerFailedError: it did not answer in time, or exited.
    """
    server = server_process(arguments(directory, port=port, options=options), directory)
    with server:
        wait_until_it_answers(server, (HOST, port) if port else directory / SOCKET)
        try:
            yield f"redis://{HOST}:{port}/0" if port else f"unix://{directory / SOCKET}"
        finally:
            server.stop()


def server_process(words: Sequence[str], directory: Path) -> ChildProcess:
    """A server that is not started yet.

    Args:
        words: its command-line arguments.
        directory: where its log, `redis.log`, goes; made if need be.

    Raises:
        discovery.ServerNotFoundError: there is no server to start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    return ChildProcess(find_server(), *words, log=directory / "redis.log")


def wait_until_it_answers(server: ChildProcess, address: tuple[str, int] | Path) -> None:
    """Returns once a server that was started answers.

    Args:
        server: what was started.
        address: host and port, or the path of a Unix socket.

    Raises:
        ServerFailedError: it did not answer in time, or exited.
    """
    with suppress(DeadlineError):
        # It refuses connections until it is up, and may still be loading its file then.
        wait_until(
            lambda: server.ended() or _answers(address), timeout_s=START_TIMEOUT_S, ignoring=OSError
        )
        if not server.ended():
            return
    raise ServerFailedError(f"The Redis server did not come up: {server.log()[-2000:]}")


def _answers(address: tuple[str, int] | Path) -> bool:
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(1)
        connection.connect(str(address) if isinstance(address, Path) else address)
        connection.sendall(b"PING\r\n")
        # It may want a password first, and is up all the same.
        return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
