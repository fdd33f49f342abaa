"""Protects this process's memory, and the credentials in it, from other processes of the same user."""

import ctypes
import sys

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4


def protect_memory() -> bool:
    """Makes this process undumpable (prctl): no other process of its user reads its memory or environment.

    Guaranteed on Linux: no other process without CAP_SYS_PTRACE reads `/proc/<pid>/environ`, `mem` or the
    descriptors, attaches a debugger, or copies the memory, and the process leaves no core dump. A program
    that it starts can be read again, because exec resets this. Between exec and this call everything can be
    read. Calling it again is harmless.

    Returns:
        Whether it took effect. False where the system has nothing like it, or refuses it.
    """
    if sys.platform != "linux":
        return False
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
