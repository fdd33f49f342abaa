"""What processes left in a folder of counts, and what `/metrics` makes of it."""

import os
from itertools import count
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from listener.consumer.monitoring.metric_sums import merge_metric_files
from listener.runtime import multiprocess_dir

KEY = mmap_key("fota_messages", "fota_messages_total", ["kind"], ["unknown"], "Messages.")
NUMBERS = count(1)


def dead(folder: Path, value: float = 1, key: str = KEY, sort: str = "counter") -> Path:
    """A file as a process that was killed leaves it."""
    path = folder / f"{sort}_fota-{next(NUMBERS):016x}.db"
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, multiprocess_dir.RESERVED_BYTES)
    written = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    return path


def scraped() -> dict[str, float]:
    return {
        sample.name: sample.value for metric in merge_metric_files() for sample in metric.samples
    }
