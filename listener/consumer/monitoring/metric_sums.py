"""The metrics of all processes, living and dead, added up from their files."""

import struct
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from listener.runtime import metric_files, multiprocess_dir

MERGE_ATTEMPTS = 20


def merge_metric_files() -> Iterable[Metric]:
    """The sums over the files of all processes, living and dead.

    Raises:
        TimeoutError: at each attempt a file of a dead process was merged meanwhile.
    """
    folder = multiprocess_dir.folder()
    for _ in range(MERGE_ATTEMPTS):
        files, version = metric_files.readable_files(folder)
        try:
            families = _merge(files)
        except FileNotFoundError:
            continue
        if metric_files.merged_version(folder) == version:
            return families
    raise TimeoutError("files of metrics come and go too fast")


def _merge(files: list[Path]) -> Iterable[Metric]:
    """The sums over some files; a broken one of another program must not cost the others."""
    merge = MultiProcessCollector.merge
    try:
        families: Iterable[Metric] = merge([str(path) for path in files])  # type: ignore[no-untyped-call]
    except (RuntimeError, TypeError, ValueError, struct.error):
        readable = [str(path) for path in files if metric_files.is_readable(path)]
        families = merge(readable)  # type: ignore[no-untyped-call]
    return families
