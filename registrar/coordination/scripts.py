"""Loads the Lua scripts of `coordination/lua`."""

from importlib.resources import files

import redis
from redis.commands.core import Script


def script(client: "redis.Redis", name: str, *, prelude: str | None = None) -> Script:
    """The script in `<name>.lua`, with that of `prelude` before it, ready to call."""
    parts = [part for part in (prelude, name) if part]
    folder = files("registrar.coordination").joinpath("lua")
    return client.register_script(
        "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    )
