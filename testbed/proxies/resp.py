"""Reads the Redis protocol, RESP2, as a proxy must."""

from typing import IO


def read_command(file: IO[bytes]) -> tuple[bytes, list[bytes]]:
    """The next command as it came, and its words; no words at the end of the connection."""
    head = file.readline()
    raw, words = [head], []
    for _ in range(int(head[1:] or 0)):
        size = file.readline()
        word = file.read(int(size[1:]) + 2)
        raw += [size, word]
        words.append(word[:-2])
    return b"".join(raw), words


def read_reply(file: IO[bytes]) -> bytes:
    """The next whole reply as it came. Raises EOFError."""
    head = file.readline()
    if not head:
        raise EOFError
    count = int(head[1:]) if head[:1] in (b"$", b"*") else -1
    if head[:1] == b"$" and count >= 0:
        return head + file.read(count + 2)
    return head + b"".join(read_reply(file) for _ in range(count))
