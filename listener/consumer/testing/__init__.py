"""Aids for the tests of a consumer's program: sample messages, and a run in memory. See `docs/consumer.md`.

With pytest the fixture `fota_run` is there as soon as the package is installed.
"""

from listener.consumer.testing.in_memory_run import InMemoryRun, RunFactory
from listener.consumer.testing.records import DeadLetter, Handling, Outcome
from listener.consumer.testing.samples import recovered_sample, sample, samples

__all__ = [
    "DeadLetter",
    "Handling",
    "InMemoryRun",
    "Outcome",
    "RunFactory",
    "recovered_sample",
    "sample",
    "samples",
]
