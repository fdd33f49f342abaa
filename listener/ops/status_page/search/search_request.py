"""Reads a search's filters from a page's address. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from listener import entry_ids
from listener.inspection.entry_filter import DeviceId, EntryFilter, normalized
from listener.inspection.search.conditions import Position, Wanted
from listener.messages.kinds import KIND_NAMES
from listener.ops.status_page.links import MAX_ID_CHARS, link
from listener.times import first_id, last_id

# In the order of the form.
PARAMETERS = ("device", "upgrade", "kind", "account", "id", "from", "to")
# Behind every partition.
EVERY_PARTITION = entry_ids.MAX_PART


@dataclass(frozen=True)
class SearchRequest:
    """A search as its address has it.

    Attributes:
        texts: what was written, by parameter.
        wanted: what that means.
        before: where to begin; None: at the newest message.
    """

    texts: Mapping[str, str]
    wanted: Wanted
    before: Position | None

    def link(self, before: str = "") -> str:
        """The same search from a position, or from the newest message."""
        return link("/messages", **self.texts, before=before)

    @property
    def is_narrow(self) -> bool:
        """Whether anything but a time is asked for."""
        return any(text for name, text in self.texts.items() if name not in {"from", "to"})


def read_search(parameters: Mapping[str, str], now: datetime) -> SearchRequest:
    """The search of an address.

    Raises:
        ValueError: a parameter has another form; a sentence for people.
    """
    texts = filters_of(parameters)
    for name, text in texts.items():
        _check_length(name, text)
    kind, upgrade = texts["kind"], normalized(texts["upgrade"])
    if kind and kind not in KIND_NAMES:
        raise ValueError(f"kind must be one of {', '.join(KIND_NAMES)}")
    if texts["upgrade"] and not upgrade:
        raise ValueError("upgrade must have a letter or a digit")
    entry_filter = EntryFilter(
        kinds=(kind,) if kind else (),
        account=texts["account"] or None,
        upgrade=upgrade or None,
        device=read_device(texts["device"]) if texts["device"] else None,
    )
    oldest = _time(first_id, "from", texts["from"], now) if texts["from"] else "-"
    wanted = Wanted(entry_filter, message_id=texts["id"], oldest=oldest)
    return SearchRequest(texts, wanted, _start(texts["to"], parameters.get("before", ""), now))


def filters_of(parameters: Mapping[str, str]) -> dict[str, str]:
    """The filters as they were written, in the order of the form."""
    return {name: parameters.get(name, "").strip() for name in PARAMETERS}


def read_upgrade(text: str) -> str:
    """The whole id of an upgrade, which may have any letters. Raises ValueError: a sentence for people."""
    _check_length("upgrade", text)
    return text


def read_device(text: str) -> DeviceId:
    """Raises ValueError: a sentence for people."""
    _check_length("device", text)
    try:
        return DeviceId.read(text)
    except ValueError as problem:
        raise ValueError(f"device {problem}") from None


def read_position(text: str) -> Position | None:
    """The position of the parameter `before`; None if it is empty. Raises ValueError."""
    _check_length("before", text)
    try:
        return Position.read(text) if text else None
    except ValueError as problem:
        raise ValueError(f"before {problem}") from None


def _start(to: str, before: str, now: datetime) -> Position | None:
    position = read_position(before)
    if to:
        end = entry_ids.parse(_time(last_id, "to", to, now))
        latest = Position(*end, EVERY_PARTITION)
        position = min(position, latest) if position else latest
    return position


def _time(read: Callable[[str, datetime], str], name: str, text: str, now: datetime) -> str:
    try:
        return read(text, now)
    except ValueError as problem:
        raise ValueError(f"{name} {problem}") from None


def _check_length(name: str, text: str) -> None:
    if len(text) > MAX_ID_CHARS:
        raise ValueError(f"{name} must have at most {MAX_ID_CHARS:,} letters")
