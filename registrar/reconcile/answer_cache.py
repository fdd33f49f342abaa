"""Remembers which deployments answer at a URL, so that each URL is asked once, whatever number of slots have it."""

import threading
from collections.abc import Callable, Collection

from registrar.public_url.probe import Answerer

# Returns which deployments answer a nonce at a URL.
Answerers = Callable[[str], Collection[Answerer]]


class AnswerCache:
    """Asks each URL once; several threads may share it. A URL that hangs takes its three seconds once."""

    def __init__(self, answerers: Answerers) -> None:
        self._answerers = answerers
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._answers: dict[str, Collection[Answerer]] = {}

    def is_served_by_others(self, url: str) -> bool:
        """Whether another deployment answers at the URL."""
        with self._lock:
            lock = self._locks.setdefault(url, threading.Lock())
        with lock:
            if url not in self._answers:
                self._answers[url] = self._answerers(url)
            return "other" in self._answers[url]
