"""Processes of the demonstration, and the ports they listen on."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 30.0


@contextmanager
def running(arguments: list[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A Python process of ours that does not outlive the block.

    It has a session of its own: Ctrl-C is for the demonstration, which then stops its parts in order.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, text=True, start_new_session=True, **options
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port(preferred: int) -> int:
    """The preferred port of this machine if nobody listens there, else one that is free now."""
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", preferred))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_taken(port: int) -> bool:
    """Whether somebody answers at this port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
