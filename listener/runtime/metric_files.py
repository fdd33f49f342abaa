"""prometheus-client's files of counters and histograms: reads them, and merges those of dead processes.

A file begins with the number of bytes in use; entries follow: the length of the key, the key padded with blanks
to eight bytes, the value, a time stamp (prometheus_client/mmap_dict.py). prometheus-client's own reader is not
used, because it takes a negative size for an empty file, and its writer is not, because it maps sparse files:
on a full disk a write to one ends the process (SIGBUS).

Files of dead processes are merged into one file for each type. It is replaced in one step, by a file that lists
behind its bytes in use, where prometheus-client does not read, what it has merged; only then are those deleted,
and a reader skips what is listed. So a crash at any moment neither loses nor doubles a count.
"""

import json
import os
import re
import struct
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from listener.runtime import file_locks
from listener.runtime.safe_files import open_safely, replace_safely

# The types of files that prometheus-client gives to a process with counters and histograms.
METRIC_TYPES = ("counter", "histogram")
NAME_PATTERN = re.compile(rf"({'|'.join(METRIC_TYPES)})_fota-[0-9a-f]{{16}}\.(db|new)")
MERGED_NAME = "{}_fota-ended.db"
LOCK_NAME = "fota-absorbing.lock"
# Longer than a process takes from making a folder or a file to locking it.
SETTLED_S = 60

_NUMBER = struct.Struct("i")
_VALUE = struct.Struct("dd")
_BEGIN = 8


class BrokenFileError(ValueError):
    """The bytes are not what prometheus-client writes."""


def merge_dead_files(folder: Path) -> None:
    """Merges the files of dead processes and deletes them; returns at once if another process does so now.

    Raises:
        OSError: it failed. The sums are as right as before, in more files.
    """
    with file_locks.try_lock(folder / LOCK_NAME) as is_locked:
        if is_locked:
            for metric_type in METRIC_TYPES:
                _merge(folder, metric_type)


def readable_files(folder: Path) -> tuple[list[Path], object]:
    """The files whose values are the sums, and the version of the merged ones among them.

    Who adds them up compares the version with `merged_version` afterwards, and begins again if it changed or a
    file is gone.
    """
    # In this order: a file that is deleted after the listing is in the list of what was merged.
    files = sorted(folder.glob("*.db"))
    merged = _merged_paths(folder)
    versions = [_version(path) for path in merged]
    skipped = {*merged, *(folder / name for path in merged for name in _merged_names(path))}
    existing = [path for path, version in zip(merged, versions, strict=True) if version]
    return [*(path for path in files if path not in skipped), *existing], tuple(versions)


def merged_version(folder: Path) -> object:
    """What changes whenever a merged file is replaced."""
    return tuple(_version(path) for path in _merged_paths(folder))


def is_dead(path: Path) -> bool:
    """Whether the process is gone that had a file; a file that is just being made has one."""
    return file_locks.is_unlocked(path) and (path.suffix == ".db" or is_settled(path))


def is_settled(path: Path) -> bool:
    """Whether a file or folder is old enough to have its lock, or files with locks."""
    try:
        return time.time() - path.stat().st_mtime > SETTLED_S
    except OSError:
        return False


def is_readable(path: Path) -> bool:
    """Whether a file holds values. Raises OSError."""
    try:
        values(path.read_bytes())
    except BrokenFileError:
        return False
    return True


def values(data: bytes) -> dict[str, float]:
    """The values in a file by their keys, which are prometheus-client's own.

    Raises:
        BrokenFileError: an entry does not end where it should.
    """
    used, result, place = _used_bytes(data), {}, _BEGIN
    try:
        while place < used:
            (length,) = _NUMBER.unpack_from(data, place)
            place += _NUMBER.size
            key = data[place : place + length].decode()
            _check_key(key)
            place += length + _padding(length)
            result[key], _ = _VALUE.unpack_from(data, place)
            place += _VALUE.size
    except (struct.error, ValueError) as error:
        raise BrokenFileError("an entry is broken") from error
    if place > max(used, _BEGIN):
        raise BrokenFileError("an entry ends beyond the bytes in use")
    return result


def merged_file(sums: Mapping[str, float], merged_names: Iterable[str]) -> bytes:
    """A file with some values, and the names of the files that were merged into it."""
    entries = b"".join(_entry(key.encode(), value) for key, value in sums.items())
    used = _BEGIN + len(entries)
    return struct.pack("i4x", used) + entries + json.dumps(sorted(merged_names)).encode()


def _merged_paths(folder: Path) -> list[Path]:
    return [folder / MERGED_NAME.format(metric_type) for metric_type in METRIC_TYPES]


def _merge(folder: Path, metric_type: str) -> None:
    merged = folder / MERGED_NAME.format(metric_type)
    names = _merged_names(merged)
    own = (path for path in folder.glob(f"{metric_type}_*") if NAME_PATTERN.fullmatch(path.name))
    dead = [path for path in own if is_dead(path)]
    complete = [path for path in dead if path.suffix == ".db"]
    if new := [path for path in complete if path.name not in names]:
        for path in new:
            _shrink(path)
        sums = _total(_values_or_set_aside(path) for path in (merged, *new))
        replace_safely(merged, merged_file(sums, {path.name for path in complete}))
    for path in dead:
        path.unlink(missing_ok=True)


def _total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for part in parts:
        for key, value in part.items():
            sums[key] = sums.get(key, 0.0) + value
    return sums


def _shrink(path: Path) -> None:
    """Releases the bytes that a process had reserved and not used: on a full disk the sums need the room."""
    with suppress(BrokenFileError), os.fdopen(open_safely(path, os.O_RDWR), "r+b") as file:
        file.truncate(max(_used_bytes(file.read()), _BEGIN))


def _values_or_set_aside(path: Path) -> dict[str, float]:
    """The values in a file; of a broken one none, and it is renamed, so that it can be looked into."""
    try:
        return values(path.read_bytes())
    except FileNotFoundError:
        return {}
    except BrokenFileError:
        path.rename(path.with_suffix(".broken"))
        return {}


def _merged_names(merged: Path) -> frozenset[str]:
    """The names of the files that were merged into a file; none if that cannot be read."""
    try:
        data = merged.read_bytes()
        return frozenset(json.loads(data[_used_bytes(data) :] or b"[]"))
    except (FileNotFoundError, ValueError):
        return frozenset()


def _version(path: Path) -> object:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _used_bytes(data: bytes) -> int:
    """How many bytes are in use; 0 in a file to which nothing was written yet."""
    try:
        (used,) = _NUMBER.unpack_from(data)
    except struct.error as error:
        raise BrokenFileError("no number of bytes") from error
    if not 0 <= used <= len(data):
        raise BrokenFileError("shorter than it says")
    return int(used)


def _check_key(key: str) -> None:
    """A key is the metric's name, the sample's name, the labels and the help text."""
    match json.loads(key):
        case [str(), str(), dict(), str()]:
            return
    raise ValueError("another key")


def _entry(key: bytes, value: float) -> bytes:
    padded = key + b" " * _padding(len(key))
    return _NUMBER.pack(len(key)) + padded + _VALUE.pack(value, 0.0)


def _padding(length: int) -> int:
    return 8 - (length + _NUMBER.size) % 8
