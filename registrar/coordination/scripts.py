"""Loads the Lua scripts of `coordination/lua`."""

from importlib.resources import files

import redis

from listener.redis_client.script import EvalScript


def script(client: "redis.Redis", name: str, *, prelude: str | None = None) -> EvalScript:
    """The script in `<name>.lua`, with that of `prelude` before it, ready to call."""
    parts = [part for part in (prelude, name) if part]
    folder = files("registrar.coordination").joinpath("lua")
    text = "\n".join(folder.joinpath(f"{part}.lua").read_text(encoding="utf-8") for part in parts)
    return EvalScript(client, text)
