"""Whether the time of a 404 tells how much of a wrong token was right.

    python -m bench.token_timing [--requests 20000]

Wrong tokens of the right length with 0, 1, … right leading characters, in rounds of one of each in a
random order, over one connection; likewise a wrong path of the same length. For each round the slope
of time over right characters is fitted; were there a trend, the rounds' slopes would lie on one side of
zero. The slowest twentieth of the answers, which met something else, is left out.
"""

import math
import random
import secrets
import socket
import statistics
import string
import tempfile
import time
from pathlib import Path

import click

from testbed import redis_process
from testbed.service import RECEIVER, Service

LETTERS = string.ascii_letters + string.digits
LENGTH = 32
TOKEN = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
WARM_UP = 1000
KEPT = 0.95
# Of a normal distribution, which a mean of hundreds of slopes has: 95 % lie within so many deviations.
TWO_SIDED = 1.96
ELSEWHERE = -1


class UnexpectedAnswerError(Exception):
    """What is measured did not happen."""


def wrong(right: int) -> str:
    """A path whose token has so many right leading characters and then a wrong one."""
    if right == ELSEWHERE:
        return "/" + "".join(secrets.choice(LETTERS) for _ in range(LENGTH + 3))
    first = secrets.choice(LETTERS.replace(TOKEN[right], ""))
    rest = (secrets.choice(LETTERS) for _ in range(LENGTH - right - 1))
    return f"/cb/{TOKEN[:right]}{first}{''.join(rest)}"


def measure(sock: socket.socket, path: str) -> float:
    """Sends one request; the microseconds until its answer.

    Raises:
        UnexpectedAnswerError: it is not a 404.
    """
    request = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    begun = time.perf_counter_ns()
    sock.sendall(request)
    answer = sock.recv(4096)
    # It may come in several pieces.
    while answer and not answer.rstrip().endswith(b"}"):
        answer += sock.recv(4096)
    taken = time.perf_counter_ns() - begun
    if not answer.startswith(b"HTTP/1.1 404 "):
        raise UnexpectedAnswerError(answer)
    return taken / 1000


def slope(points: list[tuple[int, float]]) -> float:
    """Of the line of least squares: nanoseconds for each right character."""
    fitted = statistics.linear_regression(*zip(*points, strict=True))
    return fitted.slope * 1000


def report(rounds: list[list[tuple[int, float]]]) -> None:
    """Prints the table, and the trend with its interval of confidence."""
    bound = statistics.quantiles((us for one in rounds for _, us in one), n=100)[94]
    click.echo("right characters    median   mean of the fastest 95 %   (µs)")
    for right in range(ELSEWHERE, LENGTH):
        found = [us for one in rounds for number, us in one if number == right]
        kept = [us for us in found if us <= bound]
        name = "another path" if right == ELSEWHERE else str(right)
        click.echo(f"{name:>16} {statistics.median(found):9.1f} {statistics.fmean(kept):12.1f}")
    kept_rounds = [[(n, us) for n, us in one if us <= bound and n != ELSEWHERE] for one in rounds]
    slopes = [slope(one) for one in kept_rounds if len(one) > LENGTH // 2]
    mean = statistics.fmean(slopes)
    reach = TWO_SIDED * statistics.stdev(slopes) / math.sqrt(len(slopes))
    verdict = "no trend" if abs(mean) <= reach else "a trend, or chance: one run in twenty"
    click.echo(
        f"{sum(map(len, rounds))} requests, {len(slopes)} rounds: {mean:+.0f} ns for each right "
        f"character, 95 % between {mean - reach:+.0f} and {mean + reach:+.0f}: {verdict}"
    )


@click.command(help=__doc__)
@click.option("--requests", default=20_000, show_default=True)
def main(requests: int) -> None:
    """Measures and prints."""
    classes = list(range(ELSEWHERE, LENGTH))
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
        Service(*RECEIVER, CALLBACK_TOKEN=TOKEN, REDIS_URL=url, WEB_CONCURRENCY="1") as service,
    ):
        service.wait_until_ready()
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(WARM_UP):
                measure(sock, wrong(0))
            rounds: list[list[tuple[int, float]]] = []
            while len(rounds) * len(classes) < requests:
                paths = [(right, wrong(right)) for right in random.sample(classes, len(classes))]
                rounds.append([(right, measure(sock, path)) for right, path in paths])
    report(rounds)


if __name__ == "__main__":
    main()
