"""The options in force, and the count of calls that throttling needs."""

import threading
from collections.abc import Mapping
from typing import Any

from sandbox.reports.options import ReportOptions, changed


class ChosenOptions:
    """The report options, which may change while the sandbox runs. Every method is atomic."""

    def __init__(self, options: ReportOptions) -> None:
        self._mutex = threading.Lock()
        self._initial = self._options = options
        self._calls = 0

    def get(self) -> ReportOptions:
        with self._mutex:
            return self._options

    def change(self, changes: Mapping[str, Any]) -> ReportOptions:
        """Changes some of them. Raises ValidationError, and changes none, if one is wrong."""
        with self._mutex:
            self._options = changed(self._options, changes)
            return self._options

    def reset(self) -> ReportOptions:
        """Back to those that the sandbox was started with."""
        with self._mutex:
            self._options, self._calls = self._initial, 0
            return self._options

    def throttles(self) -> bool:
        """Counts a call; whether it is one of those that are throttled."""
        with self._mutex:
            self._calls += 1
            every = self._options.throttle_every
            return every > 0 and self._calls % every == 0
