"""The consumer process that `bench/run consumer` measures: counts, and reports at 10, 50 and 100 %.

It runs with the `listener` of any version that has a Consumer, and imports nothing else of the project.
"""

import json
import logging
import os
import sys
import time

import click
import psutil
import structlog

from listener.consumer import Consumer, Message


def main() -> None:
    """Handles a number of messages, then returns."""
    url, total, batch, concurrency, group, observer = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    consumer = Consumer(url, group=group, batch=int(batch), concurrency=int(concurrency))
    if observer == "prometheus":
        from listener.consumer.monitoring.prometheus import (  # noqa: PLC0415 - it may not be there
            PrometheusObserver,
        )

        consumer.observers.append(PrometheusObserver(group))
    counter = Counter(consumer, int(total))
    consumer.on()(counter.handle)
    consumer.run()


class Counter:
    """Counts messages, and those that came out of order; the clock starts with the first."""

    def __init__(self, consumer: Consumer, total: int) -> None:
        self._consumer = consumer
        self._total = total
        self._report_at = {total // 10, total // 2, total}
        self._began = 0.0
        self._began_cpu_s = 0.0
        self._handled = 0
        self._disorder = 0

    def handle(self, message: Message) -> None:
        """The consumer's handler."""
        if not self._handled:
            self._began, self._began_cpu_s = time.monotonic(), cpu_s()
        if message.request_id != str(self._handled):
            self._disorder += 1
        self._handled += 1
        if self._handled in self._report_at:
            self._report()
        if self._handled == self._total:
            self._consumer.stop()

    def _report(self) -> None:
        report = {
            "handled": self._handled,
            "per_s": self._handled / (time.monotonic() - self._began),
            "cpu_us": (cpu_s() - self._began_cpu_s) / self._handled * 1e6,
            "rss": psutil.Process().memory_info().rss,
            "disorder": self._disorder,
        }
        click.echo(json.dumps(report))


def cpu_s() -> float:
    """What this process has used of the processor, in seconds."""
    used = os.times()
    return used.user + used.system


if __name__ == "__main__":
    main()
