"""Counts dead letters by their error, without keeping them: their number is unbounded. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from listener import entry_ids
from listener.inspection.dead_letters import DeadLetter, error_key


@dataclass
class LetterGroup:
    """Dead letters of one consumer group that have the same reason and error, but for numbers and ids.

    Attributes:
        error: as `error_key` returns it.
        newest: the id of the letter that was given up last.
        first_failed: the texts of the field `failed` of the oldest and, `last_failed`, the newest.
    """

    group: str
    reason: str
    error: str
    newest: str = entry_ids.FIRST
    oldest: str = entry_ids.LAST
    first_failed: str = ""
    last_failed: str = ""
    letters: int = 0
    kinds: set[str] = field(default_factory=set)

    def add(self, letter: DeadLetter) -> None:
        """Counts a letter."""
        self.letters += 1
        self.kinds.add(letter.message.get("kind", "-"))
        order = entry_ids.parse(letter.entry_id)
        if order >= entry_ids.parse(self.newest):
            self.newest, self.last_failed = letter.entry_id, letter.field("failed")
        if order <= entry_ids.parse(self.oldest):
            self.oldest, self.first_failed = letter.entry_id, letter.field("failed")


def by_error(letters: Iterable[DeadLetter]) -> list[LetterGroup]:
    """Groups of letters, those with most letters first."""
    groups: dict[tuple[str, str, str], LetterGroup] = {}
    for letter in letters:
        key = (letter.group, letter.field("reason"), error_key(letter.field("error")))
        groups.setdefault(key, LetterGroup(*key)).add(letter)
    return sorted(groups.values(), key=lambda group: group.letters, reverse=True)
