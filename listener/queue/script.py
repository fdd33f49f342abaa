"""A Lua script of this package, as EVALSHA and EVAL want it."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True)
class Script:
    """Its text, and the digest by which a server knows it that has run it."""

    text: str
    sha: str

    @classmethod
    def load(cls, name: str) -> "Script":
        """Reads the file."""
        text = files("listener.queue").joinpath(name).read_text(encoding="utf-8")
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())
