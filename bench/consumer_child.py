"""The consumer that `bench.consumer` measures: it counts, and tells at 10 %, 50 % and 100 %."""

import json
import logging
import sys
import time

import click
import psutil
import structlog

from listener.consumer import Consumer, Message


def main() -> None:
    """Handles so many messages as it is told, then returns."""
    url, total, batch, concurrency, group = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    consumer = Consumer(url, group=group, batch=int(batch), concurrency=int(concurrency))
    count = Count(consumer, int(total))
    consumer.on()(count.handle)
    consumer.run()


class Count:
    """How many came, and how many of them not in their order."""

    def __init__(self, consumer: Consumer, total: int) -> None:
        """The clock starts with the first message."""
        self._consumer = consumer
        self._total = total
        self._tell_at = {total // 10, total // 2, total}
        self._began = 0.0
        self._handled = 0
        self._disorder = 0

    def handle(self, message: Message) -> None:
        """The handler."""
        if not self._handled:
            self._began = time.monotonic()
        if message.request_id != str(self._handled):
            self._disorder += 1
        self._handled += 1
        if self._handled in self._tell_at:
            self._tell()
        if self._handled == self._total:
            self._consumer.stop()

    def _tell(self) -> None:
        said = {
            "handled": self._handled,
            "per_s": self._handled / (time.monotonic() - self._began),
            "rss": psutil.Process().memory_info().rss,
            "disorder": self._disorder,
        }
        click.echo(json.dumps(said))


if __name__ == "__main__":
    main()
