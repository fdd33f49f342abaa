"""prometheus-client's files of counters and histograms, as bytes. Pure.

The first number says how many bytes are in use; entries follow: the length of the key, the key with blanks up
to eight bytes, the value, a time stamp (prometheus_client/mmap_dict.py). What stands after the bytes in use
prometheus-client does not read: there the file of the processes that ended lists what it has absorbed.
"""

import json
import struct
from collections.abc import Iterable, Mapping

_NUMBER = struct.Struct("i")
_VALUE = struct.Struct("dd")
_BEGIN = 8


class BrokenFileError(ValueError):
    """The bytes are not what prometheus-client writes."""


def used_bytes(data: bytes) -> int:
    """How many bytes are in use; 0 in a file to which nothing was written yet.

    Raises:
        BrokenFileError: the file is shorter than that.
    """
    try:
        (used,) = _NUMBER.unpack_from(data)
    except struct.error as error:
        raise BrokenFileError("no number of bytes") from error
    if not 0 <= used <= len(data):
        raise BrokenFileError("shorter than it says")
    return int(used)


def values(data: bytes) -> dict[str, float]:
    """The values by their keys, which are prometheus-client's own.

    Raises:
        BrokenFileError: an entry does not end where it should.
    """
    used, found, place = used_bytes(data), {}, _BEGIN
    try:
        while place < used:
            (length,) = _NUMBER.unpack_from(data, place)
            place += _NUMBER.size
            key = data[place : place + length].decode()
            _check_key(key)
            place += length + _padding(length)
            found[key], _ = _VALUE.unpack_from(data, place)
            place += _VALUE.size
    except (struct.error, ValueError) as error:
        raise BrokenFileError("an entry is broken") from error
    if place > max(used, _BEGIN):
        raise BrokenFileError("an entry ends beyond the bytes in use")
    return found


def total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sums by key."""
    sums: dict[str, float] = {}
    for part in parts:
        for key, value in part.items():
            sums[key] = sums.get(key, 0.0) + value
    return sums


def file_of(sums: Mapping[str, float], absorbed: Iterable[str]) -> bytes:
    """The bytes of a file with some values, and the names of the files that they come from."""
    entries = b"".join(_entry(key.encode(), value) for key, value in sums.items())
    used = _BEGIN + len(entries)
    return struct.pack("i4x", used) + entries + json.dumps(sorted(absorbed)).encode()


def absorbed_names(data: bytes) -> frozenset[str]:
    """The names of the files whose values are among those of this one.

    Raises:
        BrokenFileError: the list cannot be read.
    """
    try:
        return frozenset(json.loads(data[used_bytes(data) :] or b"[]"))
    except ValueError as error:
        raise BrokenFileError("no list of files") from error


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
