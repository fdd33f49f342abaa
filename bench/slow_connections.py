"""How fast real messages are answered while an attacker holds many slow connections.

The receiver has a password and no token, so that an unauthenticated request is read as far as its
body. A process of its own holds the connections (`testbed.slow_connections`).
"""

import json
import multiprocessing

import click

from bench.errors import BenchError
from bench.load.messages import LOGIN, PATH
from bench.load.open_loop import Generator
from bench.report.stats import latency_line
from bench.rig.contender import receiver
from testbed.slow_connections import SlowConnections, kinds_of

HEAD = f"POST {PATH} HTTP/1.1\r\nHost: h\r\n".encode()
MAX_SENDING = 32
BASELINE_S = 5

Opened = dict[str, int]


def run(connections: int, seconds: float, rate: float) -> None:
    """Measures without slow connections first, then with them, and prints the figures.

    Args:
        connections: the number of slow connections.
        seconds: of the measurement with them.
        rate: messages a second.

    Raises:
        BenchError: a message was not answered 200.
    """
    login = {f"CALLBACK_{name.upper()}": value for name, value in LOGIN.items()}
    with receiver(**login) as service:
        click.echo(latency_line("alone", _send(service.port, rate, BASELINE_S, "alone")))
        opened: multiprocessing.Queue[Opened] = multiprocessing.Queue()
        arguments = (service.port, connections, seconds, opened)
        attacker = multiprocessing.Process(target=_hold, args=arguments, daemon=True)
        attacker.start()
        opened.get(timeout=60)
        [first] = _send(service.port, 1, 1, "first")
        click.echo(f"the first message after {connections} opened at once: {first:.1f} ms")
        latencies = _send(service.port, rate, seconds, "beside")
        click.echo(latency_line(f"beside {connections} slow ones", latencies))
        _print_opened_again(opened.get(timeout=60), connections)
        attacker.join()


def _hold(port: int, number: int, seconds: float, opened: "multiprocessing.Queue[Opened]") -> None:
    """The attacker's process: reports that the connections are open, and in the end how many were."""
    connections = SlowConnections(port, number, HEAD)
    opened.put({})
    connections.hold(seconds)
    opened.put(dict(connections.opened))
    connections.close()


def _send(port: int, rate: float, seconds: float, name: str) -> list[float]:
    """Sends messages at a fixed rate, each on a connection of its own; their latencies in ms."""

    def body(number: int) -> bytes:
        return json.dumps({**LOGIN, "type": name, "n": number}).encode()

    outcome = Generator(port, body, MAX_SENDING, keep_alive=False).run(rate, seconds, first=0)
    if outcome.failed:
        raise BenchError(f"{outcome.failed} messages were not answered 200")
    return outcome.latencies_ms


def _print_opened_again(opened: Opened, connections: int) -> None:
    kinds = kinds_of(HEAD)
    again = {kind: number - connections // len(kinds) for kind, number in opened.items()}
    click.echo(f"opened again after the receiver closed them: {again}")
