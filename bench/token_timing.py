"""Whether the time of a 404 reveals how many leading characters of a wrong token are right.

Each round sends wrong tokens of the right length with 0, 1, … right leading characters, and a wrong
path of that length, in random order over one connection. The slope of time over right characters is
fitted for each round; with a timing leak the slopes of all rounds would lie on one side of zero. The
slowest twentieth of the responses, which something else delayed, is left out.
"""

import math
import random
import secrets
import socket
import statistics
import string
import time

import click

from bench.errors import BenchError
from bench.load.messages import PATH
from bench.report.stats import percentile
from bench.rig.contender import receiver
from testbed.ports import HOST

LETTERS = string.ascii_letters + string.digits
LENGTH = 32
WARM_UP = 1000
KEPT_PERCENT = 95
# 95 % of a normal distribution, which the mean of hundreds of slopes has, lies within this many
# standard deviations.
TWO_SIDED = 1.96
OTHER_PATH = -1

# Right characters (or OTHER_PATH) and microseconds.
Point = tuple[int, float]


def run(requests: int) -> None:
    """Measures with at least `requests` requests and prints the table and the trend.

    Raises:
        BenchError: a response was not a 404.
    """
    token = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    numbers = range(OTHER_PATH, LENGTH)
    rounds: list[list[Point]] = []
    with (
        receiver(CALLBACK_TOKEN=token, WEB_CONCURRENCY="1") as service,
        socket.create_connection((HOST, service.port), timeout=10) as connection,
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(WARM_UP):
            _time_us(connection, _wrong_path(token, 0))
        while len(rounds) * len(numbers) < requests:
            order = random.sample(numbers, len(numbers))
            paths = [(right, _wrong_path(token, right)) for right in order]
            rounds.append([(right, _time_us(connection, path)) for right, path in paths])
    _print(rounds)


def _wrong_path(token: str, right: int) -> str:
    """A path whose token has some right leading characters and then a wrong one."""
    if right == OTHER_PATH:
        return "/" + _random_letters(LENGTH + len(PATH))
    wrong = secrets.choice(LETTERS.replace(token[right], ""))
    return f"{PATH}/{token[:right]}{wrong}{_random_letters(LENGTH - right - 1)}"


def _random_letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))


def _time_us(connection: socket.socket, path: str) -> float:
    """Sends one request; the microseconds until its response."""
    request = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    begun = time.perf_counter_ns()
    connection.sendall(request)
    response = connection.recv(4096)
    # It may come in several pieces.
    while response and not response.rstrip().endswith(b"}"):
        response += connection.recv(4096)
    took_ns = time.perf_counter_ns() - begun
    if not response.startswith(b"HTTP/1.1 404 "):
        raise BenchError(f"not a 404: {response!r}")
    return took_ns / 1000


def _slope_ns(points: list[Point]) -> float:
    """The least-squares slope: nanoseconds for each right character."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope * 1000


def _print(rounds: list[list[Point]]) -> None:
    points = [point for each in rounds for point in each]
    bound = percentile([us for _, us in points], KEPT_PERCENT)
    click.echo(f"right characters    median   mean of the fastest {KEPT_PERCENT} %   (µs)")
    for right in range(OTHER_PATH, LENGTH):
        times = [us for number, us in points if number == right]
        fast = statistics.fmean(us for us in times if us <= bound)
        name = "another path" if right == OTHER_PATH else str(right)
        click.echo(f"{name:>16} {statistics.median(times):9.1f} {fast:12.1f}")
    _print_trend(rounds, bound)


def _print_trend(rounds: list[list[Point]], bound: float) -> None:
    kept = [[(n, us) for n, us in each if us <= bound and n != OTHER_PATH] for each in rounds]
    slopes = [_slope_ns(points) for points in kept if len(points) > LENGTH // 2]
    mean = statistics.fmean(slopes)
    margin = TWO_SIDED * statistics.stdev(slopes) / math.sqrt(len(slopes))
    verdict = "no trend" if abs(mean) <= margin else "a trend, or chance: one run in twenty"
    click.echo(
        f"{sum(map(len, rounds))} requests, {len(slopes)} rounds: {mean:+.0f} ns for each right "
        f"character, 95 % between {mean - margin:+.0f} and {mean + margin:+.0f}: {verdict}"
    )
