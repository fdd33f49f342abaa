"""ThingSpace's replies as files, for the tests of both sides: the registrar reads them, the sandbox gives them.

`tests/data/replies/index.json` names each reply, with its status, its file and its headers, and says how sure
it is: the marks are those of docs/registration.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "data" / "replies"
MARKS = {"doc", "sdk", "seen", "?"}


@dataclass(frozen=True)
class ProviderReply:
    """One reply, as bytes on the wire."""

    name: str
    status: int
    body: bytes
    headers: Mapping[str, str]
    mark: str
    source: str


def _read(name: str, entry: Mapping[str, object]) -> ProviderReply:
    file, headers = entry.get("file"), entry.get("headers", {})
    assert isinstance(headers, dict)
    body = (FOLDER / str(file)).read_bytes().strip() if file else b""
    status, mark, source = entry["status"], entry["mark"], entry["source"]
    return ProviderReply(name, int(str(status)), body, headers, str(mark), str(source))


REPLIES = {
    name: _read(name, entry)
    for name, entry in json.loads((FOLDER / "index.json").read_text()).items()
}
