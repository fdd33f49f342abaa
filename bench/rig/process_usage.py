"""What processes used, by the operating system's own accounts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

MB = 1e6


@dataclass(frozen=True)
class Memory:
    """Of one process, in megabytes: all that it sees, and its share of what is shared."""

    rss_mb: float
    pss_mb: float


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants that are alive."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def cpu_s(processes: Sequence[psutil.Process]) -> dict[int, float]:
    """The processor time that each has used, user and system, in seconds; steps of 10 ms."""
    times = {process.pid: process.cpu_times() for process in processes}
    return {pid: spent.user + spent.system for pid, spent in times.items()}


def used(before: dict[int, float], after: dict[int, float]) -> float:
    """What was used between two accounts, in seconds.

    Raises:
        RuntimeError: a process ended or began in between, so that the account is not whole.
    """
    if before.keys() != after.keys():
        raise RuntimeError("a process of the contender ended or began while it was measured")
    return sum(after[pid] - spent for pid, spent in before.items())


def largest(processes: Sequence[psutil.Process]) -> Memory:
    """The memory of the process that has most: a worker."""
    every = [process.memory_full_info() for process in processes]
    most = max(every, key=lambda memory: memory.rss)
    return Memory(most.rss / MB, most.pss / MB)


@dataclass(frozen=True)
class Machine:
    """The whole machine's processor time so far, in seconds."""

    busy: float
    stolen: float

    @classmethod
    def now(cls) -> "Machine":
        """Since its start; a hypervisor's other guests take what is stolen."""
        spent = psutil.cpu_times()
        idle = spent.idle + spent.iowait
        return cls(sum(spent[:8]) - idle, spent.steal)


def foreign_share(before: Machine, after: Machine, own_s: float, elapsed_s: float) -> float:
    """Which share of the machine went to neither side of the measurement: how noisy it was."""
    available = elapsed_s * (os.cpu_count() or 1)
    return max(0.0, after.busy - before.busy - own_s) / available
