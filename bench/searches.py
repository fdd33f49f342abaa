"""How soon a device's page answers over a long queue, and how fast messages are answered while somebody searches.

A page searches the queue itself, in a process that receives messages too: a search takes time of Redis and of a
worker. Readers in a process of their own behave as `search.js` does: they follow "Go on" until a search is at the
end of the queue, and pause before each answer as long as the one before took.
"""

import itertools
import multiprocessing
import os
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urljoin

import click
import redis
import requests

from bench.errors import BenchError
from bench.load import messages
from bench.load.open_loop import Generator
from bench.report.stats import latency_line, percentile
from bench.rig import contender, store

MAX_FIRST_ANSWER_MS = 1000.0
MAX_RATIO = 2.0
FIRST_ANSWERS = 15
# A search that began before a window without readers ends within it.
SETTLE_S = 1.5
CONNECTIONS = 16
FILL_STEP = 10_000
TIMEOUT_S = 10.0
DEVICE, UPGRADE = "990013907835573", "60b5d639-ccdc-4db8-8824-069bd94c95bf"
FIRST_DEVICE = 351_756_051_500_000
# Of a row of the page.
MESSAGE = "upgrade-finished<span"
GO_ON = re.compile(r'id="go-on" href="([^"]+)" data-searching')
# KEYS: the stream. ARGV: the first number, how many, the first device, the data, the device and (as a pattern) the
# upgrade in it. Each device has one message, each upgrade 24.
FILL = """
for number = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  local id, device = string.format('%032x', number), string.format('%.0f', ARGV[3] + number)
  local upgrade = string.format('%08x-ccdc-4db8-8824-069bd94c95bf', number / 24)
  local data = string.gsub(string.gsub(ARGV[4], ARGV[5], device), ARGV[6], upgrade)
  redis.call('XADD', KEYS[1], '*', 'specversion', '1.0', 'id', id,
    'source', '/thingspace/fota/0242078689-00001',
    'type', 'com.verizon.thingspace.fota.upgradeFinished', 'subject', upgrade,
    'time', '2026-11-23T00:00:00.000000Z', 'datacontenttype', 'application/json',
    'data', data, 'kind', 'upgrade-finished', 'account', '0242078689-00001', 'requestid', id)
end
"""


@dataclass(frozen=True)
class Options:
    """The queue's length, the number of readers, and the messages beside them: at which rate, how long, how often.

    Attributes:
        no_end: whether the search through the whole queue is left out.
    """

    entries: int
    readers: int
    rate: float
    seconds: float
    rounds: int
    no_end: bool


def run(options: Options) -> None:
    """Fills a real Redis, runs the service as it is deployed, and prints the figures.

    Raises:
        BenchError: a figure misses its bound, or a message was not answered 200.
    """
    with store.running("everysec") as queue:
        began = time.monotonic()
        _fill(queue.client, options.entries)
        click.echo(f"{options.entries:,} messages, in {time.monotonic() - began:.0f} s")
        with contender.running_contender(contender.ours(), queue.url) as service:
            pages = _device_pages(service.ops_url, options.entries)
            slowest_ms = max(_first_answers(name, page) for name, page in pages.items())
            if not options.no_end:
                _search_to_the_end(pages["old"])
            ratio = _beside(service.port, list(pages.values()), options)
    click.echo(f"first answer: slowest {slowest_ms:.0f} ms; at most {MAX_FIRST_ANSWER_MS:.0f} ms")
    click.echo(f"p99 while somebody searches over p99 without: {ratio:.2f}; at most {MAX_RATIO}")
    if slowest_ms > MAX_FIRST_ANSWER_MS or ratio > MAX_RATIO:
        raise BenchError("a page answered late, or the searches slowed down the receiver")


def _fill(client: "redis.Redis", entries: int) -> None:
    script = client.register_script(FILL)
    sample = (messages.SAMPLE_DIR / "upgrade-finished.json").read_text()
    sought: list[Any] = [FIRST_DEVICE, sample, DEVICE, UPGRADE.replace("-", "%-")]
    for first in range(0, entries, FILL_STEP):
        count = min(FILL_STEP, entries - first)
        script(keys=[store.stream_key(0)], args=[first, count, *sought])
    # Redis may not answer while the disk catches up with so much.
    os.sync()


def _device_pages(url: str, entries: int) -> dict[str, str]:
    """The addresses of the oldest message's device, the newest's, and of one that has none."""
    devices = {"recent": FIRST_DEVICE + entries - 1, "old": FIRST_DEVICE, "absent": entries}
    return {name: f"{url}/devices/{device:015d}" for name, device in devices.items()}


def _first_answers(name: str, page: str) -> float:
    """Prints how soon a page answers; returns the slowest first answer in ms.

    Raises:
        BenchError: the search does not find the newest message's device, or finds the one that has none.
    """
    times = []
    with requests.Session() as session:
        for _ in range(FIRST_ANSWERS):
            began = time.monotonic()
            answer = next(_answers(session, page))
            times.append((time.monotonic() - began) * 1000)
    if (MESSAGE in answer) != (name == "recent") and name != "old":
        raise BenchError(f"the page of the device {name} does not show what there is")
    median = percentile(times, 50)
    click.echo(f"device {name}: first answer in {median:.0f} ms, slowest {max(times):.0f} ms")
    return max(times)


def _search_to_the_end(page: str) -> None:
    """Prints how long a search through the whole queue takes. Raises BenchError if it misses the oldest message."""
    began = time.monotonic()
    with requests.Session() as session:
        answers = list(_answers(session, page))
    if not any(MESSAGE in answer for answer in answers):
        raise BenchError("a search through the whole queue missed its oldest message")
    took_s = time.monotonic() - began
    click.echo(f"device old: found after {took_s:.1f} s, in {len(answers)} answers with pauses")


def _answers(session: requests.Session, page: str) -> Iterator[str]:
    """Reads a page, and what `search.js` would fetch after it."""
    address: str | None = page
    while address:
        began = time.monotonic()
        response = session.get(address, headers={"Accept": "text/html"}, timeout=TIMEOUT_S)
        if not response.ok:
            raise BenchError(f"{address} answered {response.status_code}: {response.text[-600:]}")
        took_s = time.monotonic() - began
        yield response.text
        time.sleep(took_s)
        found = GO_ON.search(response.text)
        address = urljoin(page, found[1].replace("&amp;", "&")) if found else None


def _beside(port: int, pages: Sequence[str], options: Options) -> float:
    """Sends messages in windows, alternately without readers and with them; returns the ratio of the two p99s.

    Raises:
        BenchError: a message was not answered 200, or no page was read.
    """
    readers = _Readers(pages, options.readers)
    latencies: dict[str, list[float]] = {"alone": [], "beside searches": []}
    numbers = messages.MessageNumbers()
    with readers:
        for _ in range(options.rounds):
            for name, sent in latencies.items():
                readers.read(is_wanted=name != "alone")
                sent.extend(_send(port, options, numbers.next()))
    for name, sent in latencies.items():
        click.echo(latency_line(name, sent))
    click.echo(f"pages that were read meanwhile: {readers.answers}")
    alone, beside = (percentile(sent, 99) for sent in latencies.values())
    return beside / alone


def _send(port: int, options: Options, first: int) -> list[float]:
    """Sends messages at a fixed rate; their latencies in ms."""
    templates = messages.sample_templates()
    generator = Generator(port, lambda number: messages.body(templates, number), CONNECTIONS)
    outcome = generator.run(
        options.rate, options.seconds + SETTLE_S, first=first, settle_s=SETTLE_S
    )
    if outcome.failed:
        raise BenchError(f"{outcome.failed} messages were not answered 200")
    return outcome.latencies_ms


class _Readers:
    """Readers in a process of their own, which read pages while they are wanted.

    Attributes:
        answers: how many they read, once the block is left.
    """

    def __init__(self, pages: Sequence[str], count: int) -> None:
        self.answers = 0
        self._is_wanted, self._is_over = multiprocessing.Event(), multiprocessing.Event()
        self._counts: multiprocessing.Queue[int] = multiprocessing.Queue()
        arguments = (pages, count, self._is_wanted, self._is_over, self._counts)
        self._process = multiprocessing.Process(target=_read, args=arguments, daemon=True)

    def read(self, *, is_wanted: bool) -> None:
        """Lets them read, or pause after the answers that are under way."""
        (self._is_wanted.set if is_wanted else self._is_wanted.clear)()

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._is_wanted.set()
        if not any(error):
            self.answers = self._counts.get(timeout=4 * TIMEOUT_S)
            if self.answers <= 0:
                raise BenchError("a page was not answered, or none was read")
        self._process.terminate()
        self._process.join()


def _read(pages: Sequence[str], count: int, is_wanted: Any, is_over: Any, counts: Any) -> None:
    """The readers' process: puts the number of answers in the end, 0 if one failed."""

    def read(number: int) -> int:
        answers = 0
        is_wanted.wait()
        with requests.Session() as session:
            for page in itertools.islice(itertools.cycle(pages), number, None):
                for _ in _answers(session, page):
                    answers += 1
                    is_wanted.wait()
                    if is_over.is_set():
                        return answers
        return answers

    with ThreadPoolExecutor(count) as pool:
        try:
            counts.put(sum(pool.map(read, range(count))))
        except (requests.RequestException, BenchError):
            counts.put(0)
