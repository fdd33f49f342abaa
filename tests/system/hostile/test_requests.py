"""Hostile requests over raw sockets against the real receiver: documented answers, and no trace."""

import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import psutil
import pytest
import redis

from testbed.service import RECEIVER, Service
from testbed.slow_connections import SlowConnections
from tests.support import hostile_requests as table

STREAM = "{fota:0}:messages"
QUARANTINE = "{fota:0}:quarantine"
GROWTH_BYTES = 16 * 2**20
# What the provider gives up after [seen].
PATIENCE_S = 4.0
# What a sender that has shown token and address is refused is kept; nothing else is.
PROVEN = {"not-json", "not-an-object", "ambiguous", "compressed", "wrong-shape", "account-refused"}


@pytest.fixture(scope="module")
def stored(redis_server: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="module")
def service(redis_server: str, stored: Any) -> Iterator[Service]:
    with Service(*RECEIVER, **{**table.SETTINGS, "REDIS_URL": redis_server}) as running:
        running.wait_until_ready()
        yield running


class Replay:
    """A socket that gives back what was read, for the standard library's parser."""

    def __init__(self, connection: socket.socket) -> None:
        self.file = connection.makefile("rb")

    def makefile(self, mode: str) -> Any:
        return self.file

    def more(self) -> bool:
        try:
            return bool(self.file.peek(1))
        except ConnectionResetError:
            return False


def exchange(service: Service, sent: bytes) -> list[tuple[int, bytes]]:
    """Sends bytes, says that no more will come, and reads every answer to the end."""
    found = []
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            # The answer came, and the end with it, before all was sent.
            pass
        replay = Replay(connection)
        with replay.file:
            while replay.more():
                answer = HTTPResponse(replay, method=sent[:4].decode("latin-1").strip())  # type: ignore[arg-type]
                answer.fp = _Kept(replay.file)  # type: ignore[assignment]
                answer.begin()
                content = answer.read()
                assert answer.status < 400 or answer.headers["Content-Type"] == (
                    "application/problem+json"
                )
                assert "27." not in (answer.headers["Server"] or "")
                found.append((answer.status, content + str(answer.headers).encode()))
    return found


class _Kept:
    """The file of several answers, which the end of one must not close."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def close(self) -> None: ...

    def flush(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def workers(service: Service) -> list[psutil.Process]:
    return service.family()[1:]


def memory(service: Service) -> dict[int, int]:
    return {worker.pid: worker.memory_info().rss for worker in workers(service)}


def wrong(service: Service, row: table.Row) -> str | None:
    answers = exchange(service, row.sent)
    if tuple(status for status, _ in answers) != row.statuses:
        return f"{row.name}: {answers}, not {row.statuses}"
    for status, content in answers:
        if table.MARK.encode() in content or (status >= 400 and table.TOKEN.encode() in content):
            return f"{row.name}: echoed in {content!r}"
    return None


@pytest.mark.parametrize(
    ("request_line", "length", "source", "begins"),
    [
        (f"POST {table.PATH} HTTP/1.1", 2, table.LISTED, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (f"POST {table.PATH} HTTP/1.0", 2, table.LISTED, b"HTTP/1.0 400"),
        ("POST /h0stile HTTP/1.1", 2, table.LISTED, b"HTTP/1.1 404"),
        (f"PUT {table.PATH} HTTP/1.1", 2, table.LISTED, b"HTTP/1.1 405"),
        (f"POST {table.PATH} HTTP/1.1", table.LIMIT + 1, table.LISTED, b"HTTP/1.1 413"),
        (f"POST {table.PATH} HTTP/1.1", 2, "X: y", b"HTTP/1.1 403"),
    ],
)
def test_path_size_and_source_are_judged_before_a_body_is_asked_for(
    service: Service, request_line: str, length: int, source: str, begins: bytes
) -> None:
    expecting = table.head(
        request_line, source, "Expect: 100-continue", f"Content-Length: {length}"
    )
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(expecting)
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read().startswith(begins)


def test_the_table_is_long_enough_and_names_each_row_once() -> None:
    assert len(table.EVERY) >= 200
    assert len({row.name for row in table.EVERY}) == len(table.EVERY)
    for row in table.EVERY:
        assert all(400 <= status < 500 for status in row.statuses), row.name


def test_hostile_requests_get_their_answers_and_leave_no_trace(
    service: Service, stored: Any
) -> None:
    problems = [problem for row in table.EVERY if (problem := wrong(service, row))]
    assert not problems, "\n".join(problems)
    before = memory(service)
    for row in table.EVERY:
        wrong(service, row)
    after = memory(service)
    assert before.keys() == after.keys(), "a worker died"
    grown = {pid: after[pid] - before[pid] for pid in before}
    assert max(grown.values()) < GROWTH_BYTES, grown

    assert stored.xlen(STREAM) == 0
    kept = [fields for _, fields in stored.xrange(QUARANTINE)]
    assert {fields["reason"] for fields in kept} == PROVEN
    assert not [fields for fields in kept if table.LOGIN["password"] in str(fields)]
    # Each once, though each came twice.
    assert len(kept) == len({json.dumps(fields | {"time": ""}) for fields in kept})
    sorts = {key.split(":")[2] for key in stored.keys("*")}
    assert sorts <= {"quarantine", "seen", "arrived", "ready"}
    assert "Traceback" not in service.log()
    for secret in (table.TOKEN, table.LOGIN["password"], table.MARK):
        assert secret not in service.log()


def test_odd_but_right_requests_are_kept_as_one_message(service: Service, stored: Any) -> None:
    stored.delete(STREAM)
    problems = [problem for row in table.ODD if (problem := wrong(service, row))]
    assert not problems, "\n".join(problems)
    [(_, fields)] = stored.xrange(STREAM)
    assert json.loads(fields["data"]) == {"type": table.MARK}


def test_odd_texts_in_a_message_are_kept(service: Service, stored: Any) -> None:
    stored.delete(STREAM)
    problems = [problem for row in table.LENIENT if (problem := wrong(service, row))]
    assert not problems, "\n".join(problems)
    kept = [json.loads(fields["data"]) for _, fields in stored.xrange(STREAM)]
    texts = {text for content in kept for member in content.items() for text in member}
    # Half a surrogate is the same character wherever it stood.
    assert texts == {"a", "\xe9", "\ufffd", "\ufffd\ufffd", 1, "\0", "\n"}


def test_a_sender_that_waits_to_be_told_to_go_on_is_told(service: Service) -> None:
    body = json.dumps({**table.LOGIN, "n": "expect"}).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(table.post(body, "Expect: 100-continue")[: -len(body)])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_wrong_token_and_a_wrong_path_are_the_same_bytes(service: Service) -> None:
    def answer(path: str) -> bytes:
        [(status, content)] = exchange(service, table.post(path=path))
        lines = [line for line in content.splitlines() if not line.startswith(b"Date:")]
        return b"%d %s" % (status, b"\n".join(lines))

    token = table.TOKEN
    paths = [f"/cb/{'x' * len(token)}", f"/cb/{token[:-1]}x", "/cb", "/", "/a/b/c", "/" + "a" * 999]
    assert len({answer(path) for path in paths}) == 1


def test_real_messages_are_answered_beside_slow_connections(service: Service) -> None:
    """How fast is measured by `bench/run slow-connections`, with 500 and for a minute."""
    head = table.head(f"POST {table.PATH} HTTP/1.1", table.LISTED)[:-2]
    slow = SlowConnections(service.port, 100, head)
    try:
        for number in range(40):
            slow.hold(0.01)
            [(status, _)] = exchange(service, table.post(table.message(slow=number)))
            assert status == 200
    finally:
        slow.close()


@pytest.mark.slow
def test_who_sends_requests_without_end_does_not_keep_a_worker_to_itself(service: Service) -> None:
    """Such a connection is never empty, so reading it never waits: a worker must turn to others all the same."""
    stop = threading.Event()
    hogs = [threading.Thread(target=hog, args=(service.port, stop)) for _ in range(6)]
    try:
        for thread in hogs:
            thread.start()
        taken = []
        for number in range(20):
            begun = time.monotonic()
            [(status, _)] = exchange(service, table.post(table.message(beside=number)))
            assert status == 200
            taken.append(time.monotonic() - begun)
        assert all(thread.is_alive() for thread in hogs)
    finally:
        stop.set()
        for thread in hogs:
            thread.join()
    # Without turns: as long as the hogs, or the worker, live.
    assert max(taken) < PATIENCE_S, taken


def hog(port: int, stop: threading.Event) -> None:
    """Sends requests as fast as they are taken, and reads the answers, over one connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setblocking(False)
        sending = b""
        while not stop.is_set():
            sending = sending or table.line("GET /h0stile HTTP/1.1") * 1000
            readable, writable, _ = select.select([connection], [connection], [], 0.1)
            if readable and not connection.recv(2**20):
                return
            if writable:
                sending = sending[connection.send(sending) :]
