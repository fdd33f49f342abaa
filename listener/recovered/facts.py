"""What one message says: about which upgrades it is, and about which device. Pure.

The text of `data` decides, without parsing it: the listener wrote it, as JSON without spaces, and ids need no
escapes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from listener.messages.kinds import KIND_NAMES, RECOVERED, UNKNOWN
from listener.recovered.devices import EVERY_DEVICE, device_named_in

TEST_TYPE = "com.verizon.thingspace.fota.listenerTest"
# A message about more upgrades is not read: no message of ThingSpace is known to be about more than one.
MAX_UPGRADES = 100
MAX_ID_CHARS = 200

_UUID = re.compile(
    r"(?<![0-9A-Za-z])[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}(?![0-9A-Za-z])"
)
_ID = rf'id":"?([^"\\,{{}}\[\]]{{1,{MAX_ID_CHARS}}})"?(?=[,}}])'
# The value of a member whose name ends like an id's, and is no device's.
_ID_MEMBER = re.compile(rf'(?i)"(?!(?:\w*device_?id|\w*iccid|m?eid)")[^"\\]*{_ID}')
# Its name says that it is an upgrade's.
_UPGRADE_ID_MEMBER = re.compile(rf'(?i)"(?:[^"\\]*(?:upgrade|campaign)[^"\\]*)?{_ID}')
# ThingSpace's words for states [doc], as the only member of v2's and v3's messages that is likely to be there [?].
_WORDS_BY_KIND = {
    "upgrade-scheduled": re.compile(r'"CampaignScheduled"'),
    "upgrade-started": re.compile(r'"(?:Upgrade)?(?:In ?Progress|Pending|Scheduled)"'),
    "upgrade-finished": re.compile(r'"(?:CampaignEnded|UpgradeSuccess|Upgraded? ?Fail[A-Za-z]*)"'),
}


class TooManyUpgradesError(Exception):
    """A message has more ids than are indexed, so it may be about any upgrade."""


@dataclass(frozen=True)
class Fact:
    """A message about an upgrade came.

    Attributes:
        account: that the message names; empty: none.
        upgrade_id: as `normalized_id`.
        kind: of the message.
        entry_id: of its entry.
        device: that it is about, as it is written there; `EVERY_DEVICE`: it may be about all of the upgrade's.
        recovered_device: only of a recovered message: the device that it is about, or empty.
        is_guess: whether the id was found in the text of a message without a `subject`, and may be none of an upgrade.
    """

    account: str
    upgrade_id: str
    kind: str
    entry_id: str
    device: str = EVERY_DEVICE
    recovered_device: str | None = None
    is_guess: bool = False


def normalized_id(upgrade_id: str) -> str:
    """An id as it is compared: letter case and spaces round it do not count."""
    return upgrade_id.strip().casefold()


def facts_of(entry_id: str, fields: Mapping[str, str]) -> list[Fact]:
    """Every upgrade that a message is about: by `subject` and members that are named like it, or by each id in its text.

    A campaign's id is in every message about it [doc]; where is not public for v2 and v3 [?]. A message whose kind is not
    known stands also for the kinds whose states it names: that is a guess, so it stays one of an unknown kind too.

    Raises:
        TooManyUpgradesError: there are more than `MAX_UPGRADES`.
    """
    if fields.get("type") == TEST_TYPE:
        return []
    account, subject, data = (fields.get(name, "") for name in ("account", "subject", "data"))
    kind = fields.get("kind", UNKNOWN)
    kind = kind if kind in KIND_NAMES else UNKNOWN
    if fields.get("origin") == RECOVERED:
        upgrade_id, device = normalized_id(subject), _recovered_device(data)
        return [Fact(account, upgrade_id, kind, entry_id, recovered_device=device)]
    subjects = {normalized_id(subject)} - {""}
    patterns = (_UPGRADE_ID_MEMBER,) if subjects else (_UUID, _ID_MEMBER)
    ids = subjects | set(islice(_ids_in(data, patterns), MAX_UPGRADES + 1))
    if len(ids) > MAX_UPGRADES:
        raise TooManyUpgradesError(entry_id)
    about = subjects or (ids if len(ids) == 1 else set())
    device = device_named_in(data) if about else EVERY_DEVICE
    kinds = [*(_kinds_by_words(data) if kind == UNKNOWN else []), kind]
    return [
        Fact(
            account,
            each,
            one,
            entry_id,
            device if each in about else EVERY_DEVICE,
            is_guess=not subjects,
        )
        for each in sorted(ids)
        for one in kinds
    ]


def _kinds_by_words(data: str) -> list[str]:
    """The kinds that a message of an unknown form may stand for, by the states that it names."""
    return [kind for kind, words in _WORDS_BY_KIND.items() if words.search(data)]


def _recovered_device(data: str) -> str:
    try:
        device = json.loads(data)["recovered"]["deviceId"]
    except (ValueError, TypeError, KeyError, RecursionError):
        # It is about the whole upgrade, or somebody else wrote it.
        return ""
    return device if isinstance(device, str) else ""


def _ids_in(text: str, patterns: Iterable[re.Pattern[str]]) -> Iterator[str]:
    seen: set[str] = set()
    for pattern in patterns:
        for match in pattern.finditer(text):
            found = normalized_id(match[match.lastindex or 0])
            if found not in seen and found not in ("null", "true", "false"):
                seen.add(found)
                yield found
