"""Reads a secret from the file that a variable such as CALLBACK_TOKEN_FILE names."""

import os
import stat
from pathlib import Path

SUFFIX = "_FILE"
# A secret is a line. What is much longer is another file, named by mistake.
MAX_BYTES = 64 * 1024


def read_secret(path: Path) -> str:
    """The only line of a file, without the line break at its end (LF or CRLF, several at most).

    A link is followed: Kubernetes mounts secrets as links.

    Raises:
        ValueError: the file holds no such line, or cannot be read. The message shows neither the content nor the
            path, which may be the secret itself, set in the wrong variable.
    """
    try:
        content = _read(path)
    except OSError as error:
        raise ValueError(f"names a file that cannot be read: {error.strerror}") from None
    return _line(content)


def _read(path: Path) -> bytes:
    # Opening a pipe without O_NONBLOCK would wait for somebody who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise ValueError("names a folder")
        if not stat.S_ISREG(mode):
            raise ValueError("names a pipe or a device, and must name a regular file")
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _line(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ValueError(f"names a file of more than {MAX_BYTES // 1024} KiB")
    try:
        line = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("names a file that is not UTF-8") from None
    if not line.strip():
        raise ValueError("names a file that is empty")
    if line.startswith("\ufeff"):
        raise ValueError("names a file that begins with a byte order mark: save it without one")
    if "\0" in line:
        raise ValueError("names a file that holds a NUL byte")
    if "\n" in line or "\r" in line:
        raise ValueError("names a file of several lines, and must hold the secret alone")
    return line
