"""What became of a number of deliveries, as counts."""

import threading
from collections import Counter

from sandbox.delivery.deliveries import RESULTS, Result


class Tally:
    """Counts deliveries by their result. Every method is atomic."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._counts: Counter[Result] = Counter()

    def add(self, result: Result, change: int = 1) -> None:
        with self._mutex:
            self._counts[result] += change

    def counts(self) -> dict[str, int]:
        with self._mutex:
            return {result: self._counts[result] for result in RESULTS}
