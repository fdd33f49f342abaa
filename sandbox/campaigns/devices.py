"""Device ids in ascending order, by the million without keeping each of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import overload

# An IMEI: 15 digits, as a string. [doc]
DIGITS = 15


class DeviceRange(Sequence[str]):
    """Consecutive device ids, each made when it is asked for; slicing makes no copy.

    Args:
        numbers: ascending, each below 10**15.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return DeviceRange(self._numbers[index])
        return f"{self._numbers[index]:0{DIGITS}}"


def position_of(devices: Sequence[str], device: str) -> int | None:
    """The index of a device; None: it is not among them."""
    index = bisect_left(devices, device)
    return index if index < len(devices) and devices[index] == device else None


def position_after(devices: Sequence[str], cursor: str) -> int:
    """The index of the first device whose id is greater than the cursor, which may lack leading zeros."""
    return bisect_right(devices, cursor.zfill(DIGITS))


def merged_after(groups: Sequence[Sequence[str]], cursor: str, count: int) -> list[str]:
    """The first `count` different devices of all groups whose ids are greater than the cursor, in ascending order."""
    heads = [
        group[start : start + count]
        for group in groups
        for start in [position_after(group, cursor)]
    ]
    return sorted({device for head in heads for device in head})[:count]
