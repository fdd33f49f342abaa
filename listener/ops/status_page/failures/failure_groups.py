"""Groups dead letters and quarantined messages by what went wrong, the most frequent first. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from listener.inspection.dead_letters import DeadLetter, error_key
from listener.inspection.quarantined_messages import QuarantinedMessage
from listener.text import truncate

MAX_REASON_CHARS = 200


@dataclass
class FailureGroup:
    """Dead letters of one group that have the same error, but for numbers and ids.

    Attributes:
        error: of the newest.
        letters: the newest first.
    """

    group: str
    reason: str
    error: str
    letters: list[DeadLetter] = field(default_factory=list)


def by_error(letters: Iterable[DeadLetter]) -> list[FailureGroup]:
    """Groups of letters, those with most letters first.

    Args:
        letters: the newest first.
    """
    groups: dict[tuple[str, str, str], FailureGroup] = {}
    for letter in letters:
        reason, error = letter.field("reason"), letter.field("error")
        key = (letter.group, reason, error_key(error))
        new = FailureGroup(letter.group, reason, error)
        groups.setdefault(key, new).letters.append(letter)
    return sorted(groups.values(), key=lambda group: len(group.letters), reverse=True)


def by_reason(
    messages: Iterable[QuarantinedMessage],
) -> list[tuple[str, list[QuarantinedMessage]]]:
    """Quarantined messages by their reason, the most frequent first."""
    groups: dict[str, list[QuarantinedMessage]] = {}
    for message in messages:
        groups.setdefault(truncate(message.reason, MAX_REASON_CHARS), []).append(message)
    return sorted(groups.items(), key=lambda item: len(item[1]), reverse=True)
