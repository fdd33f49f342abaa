"""How many processors this process may use: its affinity, and the quota of its container (cgroup v1 and v2)."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

CONTROLLERS = ("", "unified", "cpu", "cpu,cpuacct")


def usable_cpus(root: Path = Path("/"), affinity: int | None = None) -> int:
    """The smaller one of affinity and quota, fractions rounded up; at least 1.

    Files that are missing or cannot be parsed set no quota.

    Args:
        root: of the file system, for tests.
        affinity: how many processors the process may run on; by default the system says it.
    """
    allowed = _affinity() if affinity is None else affinity
    quotas = [quota for folder in _cgroups(root) if (quota := _quota(folder)) is not None]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas)]))


def _affinity() -> int:
    # Python 3.13 and later: it also obeys PYTHON_CPU_COUNT.
    if hasattr(os, "process_cpu_count"):
        return int(os.process_cpu_count() or 1)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroups(root: Path) -> Iterator[Path]:
    """The folders of this process's cgroups and of their parents, whose quotas apply as well.

    In a container the path may be the host's, which does not exist inside: then the mount's own root is
    the container's cgroup.
    """
    mount = root / "sys/fs/cgroup"
    for path in {PurePosixPath("/"), *_paths(root / "proc/self/cgroup")}:
        # The path of a process outside the root of its cgroup namespace begins with `/..`.
        inside = [part for part in path.parts[1:] if part != ".."]
        for depth in range(len(inside) + 1):
            for controller in CONTROLLERS:
                yield mount.joinpath(controller, *inside[:depth])


def _paths(file: Path) -> Iterator[PurePosixPath]:
    for line in _read(file).splitlines():
        # hierarchy:controllers:path; version 2 has no controllers here.
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/") and ("cpu" in controllers.split(",") or not controllers):
            yield PurePosixPath(path)


def _quota(folder: Path) -> float | None:
    """Processors' worth of time that a cgroup may use; None: no limit."""
    words = _read(folder / "cpu.max").split() or [
        *_read(folder / "cpu.cfs_quota_us").split(),
        *_read(folder / "cpu.cfs_period_us").split(),
    ]
    try:
        quota, period = (int(number) for number in words)
    except ValueError:
        # `max`, nothing, or something unknown.
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
