"""What is sent: the sample messages, each with a number of its own, so that all are distinct. Pure."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "tests" / "data" / "messages"
USERNAME = "listener"
PASSWORD = "correct-horse-battery"  # noqa: S105 (the one in the samples)
DIGITS = 12
# Where the number goes: no sample has that text.
PLACE = "#" * DIGITS
KINDS = ("firmware-available", "upgrade-scheduled", "upgrade-started", "upgrade-finished")
CONTAINERS = ("upgradeScheduled", "upgradeProgress", "upgradeFinished")

Parts = tuple[bytes, bytes]


def samples() -> list[Parts]:
    """Each sample as JSON without spaces, cut where the number goes."""
    return [_parts(json.loads((SAMPLES / f"{kind}.json").read_text())) for kind in KINDS]


def sized(size: int) -> list[Parts]:
    """One message of about so many bytes: an upgrade with a long list of devices."""
    message = json.loads((SAMPLES / "upgrade-scheduled.json").read_text())
    devices = message["upgradeScheduled"]["deviceList"]
    first = dict(devices[0])
    missing = size - sum(map(len, _parts(message))) - DIGITS
    for number in range(missing // len(_compact(first) + b",")):
        devices.append({**first, "deviceId": f"{990013907835573 + number}"})
    return [_parts(message)]


def body(parts: Sequence[Parts], number: int) -> bytes:
    """The message with a number, the same as wrk.lua makes."""
    before, after = parts[number % len(parts)]
    return before + f"{number:0{DIGITS}}".encode() + after


def as_lua(parts: Sequence[Parts]) -> str:
    """The same for wrk.lua to read."""
    rows = (f"{{{_quoted(before)}, {_quoted(after)}}}" for before, after in parts)
    return f"return {{{', '.join(rows)}}}\n"


def _parts(message: dict[str, Any]) -> Parts:
    for name in CONTAINERS:
        if "upgradeId" in (message.get(name) or {}):
            upgrade_id = message[name]["upgradeId"]
            message[name]["upgradeId"] = upgrade_id[:-DIGITS] + PLACE
    if message["firmwareList"]:
        message["firmwareList"][0]["firmwareName"] += PLACE
    before, _, after = _compact(message).partition(PLACE.encode())
    return before, after


def _compact(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _quoted(text: bytes) -> str:
    # A long bracket of Lua takes everything as it is.
    return f"[==[{text.decode()}]==]"
