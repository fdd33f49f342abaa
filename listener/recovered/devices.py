"""Which device a message is about, and whether a reported device is among those. Pure.

How messages name devices is not public [?]. Only a message that names one device, outside every list, is about that
device: another one may be about the whole upgrade and name the devices that failed.
"""

import re
from collections import abc
from itertools import islice

EVERY_DEVICE = "*"
"""Stands for a message that may be about every device of the upgrade."""

# An IMEI: with its check digit 15 digits, without it 14, with its version 16. A JSON number has no leading zeros.
_MEMBER = re.compile(r'(?i)"(?:device_?id|imei)":(?:"?([0-9]{12,16})"?(?=[,}]))?')
IMEI_CHARS = 15
BARE_IMEI_CHARS = 14


def device_named_in(data: str) -> str:
    """The device that a message is about, as it is written there; `EVERY_DEVICE`: it may be about all.

    Args:
        data: JSON without spaces, as the listener writes it.
    """
    members = list(islice(_MEMBER.finditer(data), 2))
    if len(members) != 1 or not members[0][1]:
        return EVERY_DEVICE
    before = data[: members[0].start()]
    is_in_list = before.count("[") > before.count("]")
    return EVERY_DEVICE if is_in_list else members[0][1]


def those_named(devices: abc.Iterable[str], named: abc.Set[str]) -> frozenset[str]:
    """Those of some reported devices that messages named, however each is written."""
    numbers = {int(each) for each in named if each.isdecimal()}
    bare = {each[:BARE_IMEI_CHARS] for each in named if len(each) != IMEI_CHARS}
    all_bare = {each[:BARE_IMEI_CHARS] for each in named}
    return frozenset(
        device
        for device in devices
        if device in named
        or (device.isdecimal() and int(device) in numbers)
        or device[:BARE_IMEI_CHARS] in (bare if len(device) == IMEI_CHARS else all_bare)
    )
