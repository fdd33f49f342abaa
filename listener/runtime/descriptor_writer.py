"""DescriptorWriter: writes bytes to a file descriptor that other processes write to as well."""

import os
import select
import stat

from listener.runtime.native_thread import unpatched

NEWLINE = 10
# A pipe takes this much in one piece, so lines of processes that share it never mix.
PIPE_PIECE_BYTES = select.PIPE_BUF
# A file that is opened for appending takes any piece as a whole.
FILE_PIECE_BYTES = 64 * 1024
# How long to wait before a descriptor that another process has made non-blocking is tried again.
RETRY_S = 0.02


class DescriptorWriter:
    """Writes to a descriptor; lines do not mix with those of others if they come in pieces of `piece_bytes`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.piece_bytes = FILE_PIECE_BYTES if _is_file(fd) else PIPE_PIECE_BYTES
        # Whether the last write ended within a line, because of an error.
        self._is_line_cut = False

    def write(self, data: bytes) -> int:
        """Writes, however long that takes; returns how many bytes were written before an error, or all."""
        start = b"\n" if self._is_line_cut else b""
        left = memoryview(start + data)
        try:
            while left:
                left = left[self._write_some(left) :]
        except OSError:
            # The reader is gone, the disk is full, the descriptor is closed.
            pass
        written = max(len(data) - len(left), 0)
        if written:
            self._is_line_cut = data[written - 1] != NEWLINE
        return written

    def write_at_once(self, data: bytes) -> None:
        """Writes what can be written without waiting; the rest is lost."""
        poll = unpatched("select", "poll")()
        try:
            poll.register(self._fd, select.POLLOUT)
            for start in range(0, len(data), PIPE_PIECE_BYTES):
                if poll.poll(0):
                    os.write(self._fd, data[start : start + PIPE_PIECE_BYTES])
        except (OSError, ValueError):
            # As above.
            pass

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            unpatched("time", "sleep")(RETRY_S)
            return 0


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False
