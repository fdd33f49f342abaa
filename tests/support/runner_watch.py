"""Asks the operating port of `fota consume`, again and again, and keeps what it answers.

It imports none of our packages, so that system tests can use it.
"""

import itertools
import re
from dataclasses import dataclass

import requests

HANDLED = "fota_consumer_handled_seconds_count"


@dataclass(frozen=True)
class Sample:
    """What one look found.

    Attributes:
        before: status and body of `/healthz` right before the scrape.
        after: the same right after it.
        metrics: the scrape.
    """

    before: tuple[int, str]
    after: tuple[int, str]
    metrics: str

    def total(self, name: str) -> float:
        """The sum of a metric over its labels; 0 if it is missing."""
        found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", self.metrics, re.MULTILINE)
        return sum(map(float, found))

    @property
    def handled(self) -> int:
        return int(self.total(HANDLED))

    @property
    def is_healthy(self) -> bool:
        return self.before[0] == self.after[0] == 200


class Watch:
    """Looks at the operating port of one runner.

    Attributes:
        samples: all that was found, in order.
    """

    def __init__(self, port: int) -> None:
        self.samples: list[Sample] = []
        self._url = f"http://127.0.0.1:{port}"
        self._session = requests.Session()
        self._session.trust_env = False

    def look(self) -> Sample:
        """Asks for health, metrics and health. Raises requests.ConnectionError."""
        before = self._health()
        metrics = self._session.get(f"{self._url}/metrics", timeout=10)
        assert metrics.status_code == 200, metrics.text
        self.samples.append(Sample(before, self._health(), metrics.text))
        return self.samples[-1]

    def went_backwards(self) -> list[tuple[int, int]]:
        """Every pair of neighbouring samples in which fewer messages were handled in the later one."""
        counts = [sample.handled for sample in self.samples]
        return [pair for pair in itertools.pairwise(counts) if pair[1] < pair[0]]

    def contradictions(self) -> list[Sample]:
        """Samples whose metrics say another thing than `/healthz` said before and after them."""
        settled = [one for one in self.samples if one.before[0] == one.after[0]]
        return [one for one in settled if one.total("fota_consumer_healthy") != one.is_healthy]

    def _health(self) -> tuple[int, str]:
        answer = self._session.get(f"{self._url}/healthz", timeout=10)
        return answer.status_code, answer.text
