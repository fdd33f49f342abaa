"""Lua scripts, called by EVALSHA, and by EVAL where the server does not know them."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.commands import core
from redis.exceptions import NoScriptError


@dataclass(frozen=True)
class Script:
    """A script's text, and the digest by which EVALSHA names it."""

    text: str
    sha: str

    @classmethod
    def load(cls, package: str, name: str) -> "Script":
        """Reads `scripts/<name>` of a package, such as `listener.queue`."""
        text = files(package).joinpath("scripts", name).read_text(encoding="utf-8")
        return cls(text, _digest(text))


class EvalScript(core.Script):
    """redis-py's script, but taught by EVAL to the node that does not know it.

    redis-py would send SCRIPT LOAD, which needs a right that few users have, and in a Cluster to another node.
    """

    def __init__(self, registered_client: Any, script: str) -> None:
        # Not redis-py's own: it makes the digest in a way that a Python in FIPS mode may refuse.
        self.registered_client = registered_client
        self.script = script
        self.sha = _digest(script)

    def __call__(self, keys: Any = None, args: Any = None, client: Any = None) -> Any:
        """See `redis.commands.core.Script`. Raises redis.RedisError."""
        client, words = client or self.registered_client, [*(keys or ()), *(args or ())]
        try:
            return client.evalsha(self.sha, len(keys or ()), *words)
        except NoScriptError:
            return client.eval(self.script, len(keys or ()), *words)


def _digest(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()
