"""The scripts of a consumer: its steps that must be atomic in Redis."""

from importlib.resources import files

import redis
from redis.commands.core import Script

from listener.redis_client.script import EvalScript


class Scripts:
    """The scripts, registered once for all partitions."""

    def __init__(self, client: "redis.Redis", reading: "redis.Redis") -> None:
        """Sends nothing yet. See `Context` for the clients."""

        def script(name: str, client: "redis.Redis" = client) -> Script:
            # Its way with a server that does not know the script needs no right to SCRIPT LOAD.
            return EvalScript(
                client,
                files("listener.consumer").joinpath("scripts", name).read_text(encoding="utf-8"),
            )

        self.keep, self.bury, self.dismiss = map(script, ("keep.lua", "bury.lua", "dismiss.lua"))
        # Sent again, it would find what it claimed the first time idle for no time, and return nothing.
        self.claim, self.piece = script("claim.lua", reading), script("piece.lua", reading)
