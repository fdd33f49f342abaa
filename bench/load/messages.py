"""The messages that are sent: the samples, each with a number that makes it unique. Pure."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATH = "/cb"
SAMPLE_DIR = Path(__file__).parents[2] / "listener" / "messages" / "samples"
# The credentials in the samples.
LOGIN = {"username": "listener", "password": "correct-horse-battery"}
DIGITS = 12
# Marks where the number goes; no sample contains it.
PLACEHOLDER = "#" * DIGITS
KINDS = ("firmware-available", "upgrade-scheduled", "upgrade-started", "upgrade-finished")
CONTAINERS = ("upgradeScheduled", "upgradeProgress", "upgradeFinished")
RANGE = 10**7

# A message's JSON before and after its number.
Template = tuple[bytes, bytes]


class MessageNumbers:
    """Hands out ranges of message numbers, so that one Redis never gets a message twice.

    Every contender gets the same ones, so that the entries they leave can be compared.
    """

    def __init__(self) -> None:
        self._ranges = itertools.count()

    def next(self) -> int:
        """The first of a range of ten million numbers."""
        return next(self._ranges) * RANGE + 1


def sample_templates() -> list[Template]:
    """Each sample as JSON without spaces."""
    return [_template(json.loads((SAMPLE_DIR / f"{kind}.json").read_text())) for kind in KINDS]


def sized_templates(size: int) -> list[Template]:
    """One message of about `size` bytes: an upgrade with a long list of devices."""
    message = json.loads((SAMPLE_DIR / "upgrade-scheduled.json").read_text())
    devices = message["upgradeScheduled"]["deviceList"]
    device = dict(devices[0])
    missing = size - sum(map(len, _template(message))) - DIGITS
    for number in range(missing // len(_compact(device) + b",")):
        devices.append({**device, "deviceId": f"{990013907835573 + number}"})
    return [_template(message)]


def body(templates: Sequence[Template], number: int) -> bytes:
    """The message with this number; wrk.lua makes the same."""
    before, after = templates[number % len(templates)]
    return before + f"{number:0{DIGITS}}".encode() + after


def as_lua(templates: Sequence[Template]) -> str:
    """The templates as a Lua chunk, for wrk.lua."""
    rows = (f"{{{_quoted(before)}, {_quoted(after)}}}" for before, after in templates)
    return f"return {{{', '.join(rows)}}}\n"


def _template(message: dict[str, Any]) -> Template:
    for name in CONTAINERS:
        if "upgradeId" in (message.get(name) or {}):
            upgrade_id = message[name]["upgradeId"]
            message[name]["upgradeId"] = upgrade_id[:-DIGITS] + PLACEHOLDER
    if message["firmwareList"]:
        message["firmwareList"][0]["firmwareName"] += PLACEHOLDER
    before, _, after = _compact(message).partition(PLACEHOLDER.encode())
    return before, after


def _compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _quoted(text: bytes) -> str:
    # A long bracket of Lua needs no escapes.
    return f"[==[{text.decode()}]==]"
