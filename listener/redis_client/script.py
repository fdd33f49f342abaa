"""A Lua script of a package, as EVALSHA and EVAL want it."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True)
class Script:
    """Its text, and the digest by which a server knows it that has run it."""

    text: str
    sha: str

    @classmethod
    def load(cls, package: str, name: str) -> "Script":
        """Reads `scripts/<name>` of a package, such as `listener.queue`."""
        text = files(package).joinpath("scripts", name).read_text(encoding="utf-8")
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())
