"""A process that puts messages into a journal, as a worker of the service does: SQLite's locks belong to processes.

It is forked from a process that has imported what it needs, because starting Python anew costs a hundred times as much.
"""

import multiprocessing
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

from listener.messages.message import Message
from listener.spool.journal import Journal

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LIMIT = 2**24

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def message(number: int) -> Message:
    return Message.from_payload({"type": "new", "n": number}, arrived=NOW, request_id="r")


class JournalWorker:
    """A process that has the journal of a folder open from its start until it is killed."""

    def __init__(self, folder: Path) -> None:
        self._connection, theirs = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(folder, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def put(self, number: int) -> str:
        """Returns "kept", or why the message was refused."""
        self._connection.send(number)
        answer: str = self._connection.recv()
        return answer

    def kill(self) -> None:
        """Ends it as SIGKILL does; it may be called again."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(folder: Path, connection: Connection) -> None:
    with closing(connection), closing(Journal(folder, LIMIT)) as journal:
        while True:
            number = connection.recv()
            try:
                journal.put([message(number)])
                connection.send("kept")
            except (sqlite3.Error, OSError) as error:
                connection.send(f"refused: {error}")
