"""Decides whether an entry concerns a kind, an account, an upgrade or a device. Pure.

Nothing indexes devices: their ids stand somewhere in `data`. Ids are compared by their letters and
digits alone, so that `99-001390-783557-3`, `IMEI 990013907835573` and `990013907835573` are one.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from listener.inspection.entry_text import data_of
from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import ENVELOPE, UNKNOWN

IMEI_DIGITS = 15
# An IMEI without its last digit, which is a check digit; an IMEISV has two of a software version in its place.
IMEI_BODY_DIGITS = 14
IMEI_LENGTHS = range(IMEI_BODY_DIGITS, IMEI_DIGITS + 2)
# The beginning of an upgrade's id that may be looked for among all values of an unknown message.
MIN_CAMPAIGN_CHARS = 8
_LABEL = re.compile(
    r"\W*(?:imei(?:sv)?|meid|iccid|eid|esn|device(?:[ _-]?id)?)\b\W*", re.IGNORECASE
)
_WITHOUT_PUNCTUATION = {code: None for code in range(128) if not chr(code).isalnum()}
# Values that name no device, and that most messages share.
_SKIPPED = frozenset(("type", *(member.name for member in ENVELOPE)))


def normalized(text: str) -> str:
    """The letters and digits of an id, in lower case; full-width ones count as the ordinary ones."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
        return "".join(filter(str.isalnum, text))
    return text.translate(_WITHOUT_PUNCTUATION).lower()


@dataclass(frozen=True)
class DeviceId:
    """A device's id in any spelling: with separators, in any letter case, behind a word such as `IMEI`.

    Of an IMEI the check digit may be missing (14 digits) or replaced by a software version (16).
    """

    key: str

    @classmethod
    def read(cls, text: str) -> Self:
        """Reads what a person wrote.

        Raises:
            ValueError: it has neither a letter nor a digit.
        """
        key = normalized(_LABEL.sub("", text, count=1)) or normalized(text)
        if not key:
            raise ValueError("must be a device's id, such as the 15 digits of an IMEI")
        return cls(key)

    @cached_property
    def needle(self) -> str:
        """What the `normalized` text of each message contains that names the device; may be empty.

        A cheap test before `names`: without leading zeros, which a JSON number lacks, and of an IMEI
        without what may differ at its end.
        """
        body = self.key[:IMEI_BODY_DIGITS] if self._is_imei(self.key) else self.key
        return body.lstrip("0") if body.isascii() else ""

    def names(self, value: str | int) -> bool:
        """Whether a value in a message is this device's id; a number may lack its leading zeros."""
        if isinstance(value, int):
            value = str(value).zfill(IMEI_DIGITS)
        key = normalized(value)
        if key == self.key:
            return True
        # Two ids of one length are two devices, whatever their check digits.
        both_imei = self._is_imei(key) and self._is_imei(self.key) and len(key) != len(self.key)
        return both_imei and key[:IMEI_BODY_DIGITS] == self.key[:IMEI_BODY_DIGITS]

    @staticmethod
    def _is_imei(key: str) -> bool:
        return len(key) in IMEI_LENGTHS and key.isascii() and key.isdecimal()


def concerns_device(fields: Mapping[str, str], device: DeviceId) -> bool:
    """Whether a message names a device, in any member at any depth, whatever its kind.

    The names of members count too, as in an object with a member for each device; `type`,
    `accountName` and `participantName` do not. An id within a longer text does not count.
    """
    text = fields.get("data", "")
    # JSON may write any letter as an escape.
    if "\\" not in text and device.needle not in normalized(text):
        return False
    return any(device.names(value) for value in _values(data_of(fields)))


def concerns_upgrade(fields: Mapping[str, str], upgrade: str, *, whole: bool = False) -> bool:
    """Whether a message is about an upgrade: by its `subject`; of an unknown kind, by any value.

    A campaign's id is in every message about it [doc], but where is unknown for v2 and v3.

    Args:
        fields: with `subject`, `kind` and `data`.
        upgrade: its `normalized` id.
        whole: whether it must be the whole id; otherwise its beginning, of which
            `MIN_CAMPAIGN_CHARS` are needed in a message of an unknown kind.
    """

    def is_meant(text: str) -> bool:
        key = normalized(text)
        return key == upgrade or (not whole and key.startswith(upgrade))

    if is_meant(fields.get("subject", "")):
        return True
    if fields.get("kind") != UNKNOWN or (not whole and len(upgrade) < MIN_CAMPAIGN_CHARS):
        return False
    text = fields.get("data", "")
    if "\\" not in text and upgrade not in normalized(text):
        return False
    return any(isinstance(value, str) and is_meant(value) for value in _values(data_of(fields)))


@dataclass(frozen=True)
class EntryFilter:
    """Which entries are wanted; what is not set lets every entry pass.

    Attributes:
        kinds: our names of kinds.
        account: the whole name.
        upgrade: the `normalized` id of an upgrade, or its beginning.
        whole_upgrade: whether `upgrade` is the whole id.
        device: as `DeviceId.read` returns it.
    """

    kinds: tuple[str, ...] = ()
    account: str | None = None
    upgrade: str | None = None
    whole_upgrade: bool = False
    device: DeviceId | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an entry that `matches` reads."""
        in_data = ("data",) if self.device or self.upgrade else ()
        return ("kind", "account", "subject", *in_data)

    def matches(self, entry: StreamEntry) -> bool:
        """Whether an entry passes all that is set."""
        fields = entry.fields
        return (
            (not self.kinds or fields.get("kind") in self.kinds)
            and (self.account is None or fields.get("account") == self.account)
            and (
                self.upgrade is None
                or concerns_upgrade(fields, self.upgrade, whole=self.whole_upgrade)
            )
            and (self.device is None or concerns_device(fields, self.device))
        )

    def __bool__(self) -> bool:
        """Whether anything is set."""
        return bool(self.kinds or self.account is not None or self.upgrade or self.device)


def _values(data: Any) -> Iterator[str | int]:
    """Every text and whole number in a JSON value, and the names of its objects' members."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield from value
            waiting += (member for name, member in value.items() if name not in _SKIPPED)
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str | int) and not isinstance(value, bool):
            yield value
