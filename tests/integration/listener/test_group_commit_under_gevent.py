"""Group commit under gevent: a group waits for the requests that are ready, and no longer than it may."""

import json
import subprocess
import sys
from typing import Any

SETUP = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, json, socket, time
from listener.runtime import group_commit
"""
FEW_GROUPS = """
groups = []
def write(group):
    groups.append(len(group))
    gevent.sleep(0.01)
    return group

commit = group_commit.GroupCommit(write, size=lambda item: 1, max_items=100, max_bytes=100)
def serve(connection):
    while connection.recv(1):
        commit.submit(1, 5)
        connection.sendall(b"a")

pairs = [socket.socketpair() for _ in range(20)]
for ours, theirs in pairs:
    gevent.spawn(serve, theirs)
for _ in range(5):
    # All requests lie in the sockets before one of them is served.
    for ours, _ in pairs:
        ours._sock.send(b"q")
    for ours, _ in pairs:
        ours.recv(1)
print(json.dumps(groups))
"""
BUSY_LOOP = """
def play(connection):
    while True:
        connection.recv(1)
        connection.sendall(b"b")

one, other = socket.socketpair()
players = [gevent.spawn(play, one), gevent.spawn(play, other)]
one.sendall(b"b")
taken = []
for _ in range(3):
    began = time.monotonic()
    group_commit.wait_until_idle(0.05)
    taken.append(time.monotonic() - began)
gevent.killall(players)
group_commit.wait_until_idle(60)
print(json.dumps(taken))
"""


def run(program: str) -> Any:
    """What a program prints as JSON, in a process of its own that gevent has patched."""
    command = [sys.executable, "-c", SETUP + program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_requests_that_are_ready_share_a_group() -> None:
    groups = run(FEW_GROUPS)

    assert groups == [20, 20, 20, 20, 20]


def test_a_loop_that_is_never_idle_holds_a_group_up_for_no_longer_than_the_limit() -> None:
    taken = run(BUSY_LOOP)

    assert all(0.04 < seconds < 10 for seconds in taken), taken
