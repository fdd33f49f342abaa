"""What processes and the machine used, by the operating system's accounting: CPU time, memory."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from bench.errors import BenchError

MB = 1e6


@dataclass(frozen=True)
class Memory:
    """Of one process, in megabytes: everything mapped, and with its share of what is shared."""

    rss_mb: float
    pss_mb: float


def cpu_s(processes: Sequence[psutil.Process]) -> dict[int, float]:
    """User and system time by process id, in seconds, in steps of 10 ms."""
    times = {process.pid: process.cpu_times() for process in processes}
    return {pid: spent.user + spent.system for pid, spent in times.items()}


def cpu_with_children_s(processes: Sequence[psutil.Process]) -> float:
    """User and system time of processes and of the children that they have waited for, such as wrk."""
    times = [process.cpu_times() for process in processes]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def used_s(before: dict[int, float], after: dict[int, float]) -> float:
    """The CPU time between two results of `cpu_s`.

    Raises:
        BenchError: a process started or ended in between, so that the sum is incomplete.
    """
    if before.keys() != after.keys():
        raise BenchError("a process of the contender started or ended while it was measured")
    return sum(after[pid] - spent for pid, spent in before.items())


def largest(processes: Sequence[psutil.Process]) -> Memory:
    """The memory of the process that has most, which is a worker."""
    infos = [process.memory_full_info() for process in processes]
    most = max(infos, key=lambda info: info.rss)
    return Memory(most.rss / MB, most.pss / MB)


@dataclass(frozen=True)
class Machine:
    """The CPU time of the whole machine since its start, in seconds."""

    busy: float
    stolen: float

    @classmethod
    def now(cls) -> "Machine":
        """Stolen time went to other guests of the hypervisor."""
        spent = psutil.cpu_times()
        idle = spent.idle + spent.iowait
        return cls(sum(spent[:8]) - idle, spent.steal)


def foreign_share(before: Machine, after: Machine, own_s: float, elapsed_s: float) -> float:
    """The share of the machine that other programs used: how noisy the measurement was."""
    available = elapsed_s * (os.cpu_count() or 1)
    return max(0.0, after.busy - before.busy - own_s) / available
