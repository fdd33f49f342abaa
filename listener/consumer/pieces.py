"""Reads an entry in pieces, where its reply would be too large in one."""

from collections.abc import Sequence

from redis.commands.core import Script


def read(
    script: Script, stream: str, entry_id: bytes, lengths: Sequence[int], most_bytes: int
) -> list[bytes] | None:
    """The names and values of an entry's fields; None if it was deleted.

    Args:
        script: piece.lua.
        stream: its key.
        entry_id: of the entry.
        lengths: of each name and value, in bytes.
        most_bytes: of one piece.

    Raises:
        redis.RedisError: then nothing has changed.
    """
    whole = bytearray()
    while len(whole) < sum(lengths):
        piece = script(keys=[stream], args=[entry_id, len(whole), most_bytes])
        if piece is None:
            return None
        whole += piece
    ends = [sum(lengths[: part + 1]) for part in range(len(lengths))]
    return [bytes(whole[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
