"""A worker's memory while messages pass through the service."""

from collections.abc import Callable

from bench.load import messages
from bench.rig import contender, process_usage, session
from bench.rig.session import MAX_CONNECTIONS

STEPS = 20
# Messages a second, until the first step shows the true rate.
FIRST_RATE = 1000.0

Step = dict[str, float]


def measure(total: int, report: Callable[[str], None]) -> list[Step]:
    """Sends messages in steps, and reads the memory of the largest worker after each.

    Args:
        total: the number of messages, at least.
        report: prints a line of progress.

    Returns:
        `messages` so far, `rss_mb` and `pss_mb`, after each step.

    Raises:
        BenchError: the service did not start.
    """
    report(f"bench: {total:,} messages through one service")
    templates = messages.sample_templates()
    steps: list[Step] = []
    sent, rate = 0.0, FIRST_RATE
    with session.running(contender.ours()) as running:
        while sent < total:
            seconds = max(1, round(total / STEPS / rate))
            figures = running.send(templates, MAX_CONNECTIONS, seconds)
            sent += figures["kept"]
            rate = figures["kept"] / figures["seconds"]
            memory = process_usage.largest(running.service.family())
            steps.append({"messages": sent, "rss_mb": memory.rss_mb, "pss_mb": memory.pss_mb})
        running.store.settle()
    return steps
