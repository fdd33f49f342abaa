"""How fast real messages are answered while strangers hold slow connections.

    python -m bench.slow_connections [--connections 500] [--seconds 60] [--rate 50]

The receiver has a password and no token, so that a stranger gets as far as the body. A process of its
own holds the connections, in equal parts: heads, bodies and chunks that come a byte a second, requests
whose answers nobody reads, and silence. What the receiver ends is opened again at once.
"""

import itertools
import json
import multiprocessing
import socket
import statistics
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from testbed import redis_process
from testbed.service import RECEIVER, Service

HOST = "127.0.0.1"
LOGIN = {"username": "listener", "password": "correct-horse-battery"}
HEAD = b"POST /cb HTTP/1.1\r\nHost: h\r\n"
DRIP_S = 1.0
SENDERS = 32
BASELINE_S = 5
ASK = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


class UnexpectedAnswerError(Exception):
    """What is measured did not happen."""


def kinds_of(head: bytes) -> dict[str, tuple[bytes, bytes]]:
    """Each kind of slowness: its opening, and what comes a piece a second from then on."""
    return {
        "head": (head + b"X-Slow: ", b"a"),
        "body": (head + b"Content-Length: 60000\r\n\r\n{", b" "),
        "chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        "unread": (ASK, ASK),
        "silent": (b"", b""),
    }


class Crowd:
    """So many slow connections at any time."""

    def __init__(self, port: int, number: int, head: bytes = HEAD) -> None:
        """Opens them; the head is that of a request that gets as far as its body."""
        self._port = port
        self._kinds = kinds_of(head)
        self.opened = Counter[str]()
        kinds = itertools.islice(itertools.cycle(self._kinds), number)
        self._held = [(kind, self._open(kind)) for kind in kinds]

    def hold(self, seconds: float) -> None:
        """Drips, and replaces whatever was ended."""
        begun = time.monotonic()
        # One after the other all through the second, as strangers do who know nothing of each other.
        for step in range(int(seconds * len(self._held) / DRIP_S)):
            time.sleep(max(0.0, begun + step * DRIP_S / len(self._held) - time.monotonic()))
            place = step % len(self._held)
            kind, sock = self._held[place]
            self._held[place] = (kind, self._drip(kind, sock))

    def close(self) -> None:
        """Lets all go."""
        for _, sock in self._held:
            sock.close()

    def _open(self, kind: str) -> socket.socket:
        self.opened[kind] += 1
        sock = socket.create_connection((HOST, self._port), timeout=10)
        sock.sendall(self._kinds[kind][0])
        sock.setblocking(False)
        return sock

    def _drip(self, kind: str, sock: socket.socket) -> socket.socket:
        try:
            # Some of each answer is left unread by those that do not read.
            if kind != "unread" and sock.recv(4096) == b"":
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            return self._open(kind)
        try:
            sock.sendall(self._kinds[kind][1])
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            return self._open(kind)
        return sock


def hold(
    port: int, number: int, seconds: float, told: "multiprocessing.Queue[dict[str, int]]"
) -> None:
    """What the process of the slow connections does."""
    crowd = Crowd(port, number)
    told.put({})
    crowd.hold(seconds)
    told.put(dict(crowd.opened))
    crowd.close()


def send(port: int, rate: float, seconds: float, name: str) -> list[float]:
    """Sends messages at a fixed rate, each on a connection of its own, whatever became of those before.

    Returns:
        How long each took in ms, from when it was due.

    Raises:
        UnexpectedAnswerError: one was not answered 200.
    """
    begun = time.monotonic()

    def deliver(number: int) -> float:
        due = begun + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        body = json.dumps({**LOGIN, "type": name, "n": number}).encode()
        with socket.create_connection((HOST, port), timeout=10) as sock:
            sock.sendall(
                HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            answer = sock.recv(4096)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise UnexpectedAnswerError(answer)
        return (time.monotonic() - due) * 1000

    with ThreadPoolExecutor(SENDERS) as senders:
        return list(senders.map(deliver, range(int(rate * seconds))))


def report(name: str, taken: list[float]) -> None:
    """One line: how many, and how fast."""
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    click.echo(
        f"{name}: {len(taken)} messages, all answered 200; p50 {cuts[49]:.1f} ms, "
        f"p99 {cuts[98]:.1f} ms, slowest {max(taken):.1f} ms"
    )


@click.command(help=__doc__)
@click.option("--connections", default=500, show_default=True)
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--rate", default=50.0, show_default=True, help="messages a second")
def main(connections: int, seconds: float, rate: float) -> None:
    """Measures without slow connections first, then with them."""
    proof = {"CALLBACK_USERNAME": LOGIN["username"], "CALLBACK_PASSWORD": LOGIN["password"]}
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
        Service(*RECEIVER, **proof, REDIS_URL=url) as service,
    ):
        service.wait_until_ready()
        report("alone", send(service.port, rate, BASELINE_S, "alone"))
        told: multiprocessing.Queue[dict[str, int]] = multiprocessing.Queue()
        arguments = (service.port, connections, seconds, told)
        crowd = multiprocessing.Process(target=hold, args=arguments, daemon=True)
        crowd.start()
        told.get(timeout=60)
        [first] = send(service.port, 1, 1, "first")
        click.echo(f"the first message after {connections} opened at once: {first:.1f} ms")
        report(f"beside {connections} slow ones", send(service.port, rate, seconds, "beside"))
        opened = told.get(timeout=60)
        crowd.join()
        again = {
            kind: number - connections // len(kinds_of(HEAD)) for kind, number in opened.items()
        }
        click.echo(f"opened again after the receiver ended them: {again}")


if __name__ == "__main__":
    main()
