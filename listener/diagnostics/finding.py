"""Finding: the result of one check, with advice. Pure."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        level: `warning`: it works, but an operator should look; `error`: it does not work, or loses messages.
        topic: what was checked, one or two words.
        text: how it is.
        advice: what to do; empty where nothing is to be done.
    """

    level: Level
    topic: str
    text: str
    advice: str = ""


def ok(topic: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", topic, text)


def warning(topic: str, text: str, advice: str) -> Finding:
    """It works, but an operator should look."""
    return Finding("warning", topic, text, advice)


def error(topic: str, text: str, advice: str) -> Finding:
    """It does not work, or loses messages."""
    return Finding("error", topic, text, advice)
