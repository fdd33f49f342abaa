"""What recovery remembers of one account and API version: its baseline, its last sweep, and where one that goes on stands. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Progress:
    """A sweep that goes on, also after the process that began it has ended.

    Attributes:
        started_ms: when it began, in milliseconds since 1970.
        cause: why: `baseline`, `interval`, `gap`, `second-look`, `by-hand`.
        done: the states whose lists were read to their end.
        cursor: of the next page of the first state that is not done.
        saved_ms: when it was stored last.
        is_partial: whether the list of a state that proves messages due was not read to its end: no baseline then.
    """

    started_ms: int
    cause: str
    done: tuple[str, ...] = ()
    cursor: str = "0"
    saved_ms: int = 0
    is_partial: bool = False


@dataclass(frozen=True)
class SlotRecord:
    """One account and API version. Times are milliseconds since 1970; 0: never.

    Attributes:
        baseline_ms: when the sweep began that recorded what was there: the first complete one, or the first after a
            long pause.
        swept_ms: when the last complete sweep began.
        second_look_ms: when the messages that one look did not find can be looked for again; 0: there are none.
        retry_ms: when a sweep that failed or was interrupted may go on; 0: nothing failed.
        refusals: how many sweeps in a row ThingSpace refused.
        problem: why it failed, one word; empty: it did not.
        list_path: which of the paths of the list exists, where the documents disagree; empty: not known yet.
        names_devices: whether messages have named devices.
        progress: of the sweep that goes on; None: the last one is complete.
        upgrades: how many upgrades the last complete sweep found.
        kinds: its counts, by kind, as `listener.recovered.recovery_state.KindCounts`.
    """

    baseline_ms: int = 0
    swept_ms: int = 0
    second_look_ms: int = 0
    retry_ms: int = 0
    refusals: int = 0
    problem: str = ""
    list_path: str = ""
    names_devices: bool = False
    progress: Progress | None = None
    upgrades: int = 0
    kinds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> str:
        """For Redis."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes | None) -> Self:
        """Reads a stored record; an empty one if there is none, or another version wrote it in another form."""
        try:
            content: dict[str, Any] = json.loads(text or "{}")
            known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
            progress = known.get("progress")
            if progress is not None:
                known["progress"] = Progress(**{**progress, "done": tuple(progress["done"])})
            return cls(**known)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
            return cls()
