"""Consumes the queue with the consumer library of this project.

    REDIS_URL=redis://localhost:6379/0 GROUP=billing python python_library.py

Retries, takeovers, dead letters, several partitions, Sentinel and Cluster are the library's affair.
Being idempotent is the handler's: here by a table of what was done, in the transaction that does it.
"""

import os
import sqlite3

from listener import logs
from listener.consumer import Consumer, Message

consumer = Consumer.from_env(
    group=os.environ.get("GROUP", "python-library"),
    takeover_idle_s=float(os.environ.get("TAKE_OVER_AFTER_MS", "60000")) / 1000,
)
# The handlers run in a thread of the consumer, one at a time.
done = sqlite3.connect(os.environ.get("HANDLED", "handled.sqlite3"), check_same_thread=False)
done.execute("CREATE TABLE IF NOT EXISTS handled (id TEXT PRIMARY KEY)")


@consumer.on()
def handle(message: Message) -> None:
    """Your work. If it raises, nothing is kept of it, and the message comes again."""
    with done:
        new = done.execute("INSERT OR IGNORE INTO handled VALUES (?)", [message.id]).rowcount
        if new:
            print(message.id, message.kind, f"{len(message.data)} members", flush=True)


if __name__ == "__main__":
    logs.configure("text", "info")  # to standard error
    consumer.run()
    done.close()
