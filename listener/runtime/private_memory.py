"""Keeps the provider's credentials in this process from other processes of the same user, such as web workers."""

import ctypes
import sys

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4


def protect() -> bool:
    """Closes this process's memory and environment to every other process of its user; may be called again.

    Guaranteed on Linux: no other process without CAP_SYS_PTRACE reads `/proc/<pid>/environ`, `mem` or the
    descriptors, attaches a debugger, or copies the memory, and the process leaves no core dump. A program
    that it starts can be read again, because exec resets this. Before the call, from exec on, everything
    could be read.

    Returns:
        Whether it took effect. False where the system has nothing like it, or refuses it.
    """
    if sys.platform != "linux":
        return False
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
