"""The state of things, looked up when `/metrics` is asked for."""

from listener import metrics
from listener.ops.exposition import Gauges
from listener.ops.version import version
from listener.queue.keeper import Queue


def gauges(queue: Queue) -> Gauges:  # noqa: ARG001 (the queue's state is not told yet)
    """The values of `metrics.STATES`, as far as they can be found out now."""
    found = Gauges()
    told = version()
    found.set(metrics.BUILD, 1, str(told["version"]), str(told["commit"] or ""))
    return found
