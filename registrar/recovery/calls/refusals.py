"""What a refused list may mean: its end, that it is empty, or that it was not read. Pure.

How ThingSpace answers for an empty list is not documented, nor is an index beyond the end; "Index exceeds number of
devices in list" and "Invalid index value" are listed messages. [doc] So the words decide, and where they say nothing
of the sort, the list counts as not read.
"""

import re

from registrar.errors import RejectedError
from registrar.recovery.calls.replies import NoSuchPathError

_THINGS = r"(records?|results?|data|reports?|campaigns?|upgrades?)"
_NOTHING = re.compile(
    rf"\bno (\w+ )?{_THINGS}\b|\b{_THINGS} (was |were )?not found\b", re.IGNORECASE
)
_INDEX = re.compile(r"\bindex\b", re.IGNORECASE)


def says_empty(refusal: RejectedError) -> bool:
    """Whether it says that there is nothing in the list, such as "No campaigns found"."""
    may_say = refusal.reason == "rejected" or may_mean_empty(refusal)
    return may_say and bool(_NOTHING.search(refusal.detail))


def says_end(refusal: RejectedError) -> bool:
    """Whether a refusal of a further page says that the page before was the last one."""
    is_index = refusal.reason == "rejected" and bool(_INDEX.search(refusal.detail))
    return is_index or says_empty(refusal)


def may_mean_empty(refusal: RejectedError) -> bool:
    """Whether a refusal of the first page may be how an empty list is answered: a 404 that is not the gateway's."""
    return isinstance(refusal, NoSuchPathError) and not refusal.is_of_gateway
