"""The worker's own handling of a connection: deadlines, answers, ends. Times are shortened."""

import gc
import json
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.client import HTTPResponse
from typing import Any

import gevent.socket
import pytest
from gunicorn.config import Config
from gunicorn.workers.ggevent import GeventWorker

from listener.errors import RefusalError
from listener.server.chunk_decoder import ChunkDecoder
from listener.server.client_connection import Connection, ConnectionLimiter
from listener.server.worker import Worker
from testbed.polling import wait_until

REQUEST_TIMEOUT_S = 0.3
KEEPALIVE_S = 1


REQUEST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"


class Log:
    """Stands in for gunicorn's logger; what is told of a refusal is a matter of other tests."""

    def __getattr__(self, name: str) -> Any:
        return getattr(logging.getLogger("nobody"), name, lambda *_: None)


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Reads the body unless the path says otherwise, and answers with it or with the reason why it cannot be read."""
    if environ["PATH_INFO"] == "/raises":
        raise KeyError("secret-path")
    try:
        body = b"unread" if environ["PATH_INFO"] == "/unread" else environ["wsgi.input"].read()
    except RefusalError as refusal:
        body = refusal.reason.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def worker() -> Worker:
    config = Config()
    config.set("keepalive", KEEPALIVE_S)
    made = Worker(0, 0, [], None, 30, config, Log())
    made.tmp.close()
    made.wsgi = echo
    made.first_byte_timeout_s = REQUEST_TIMEOUT_S
    made.request_timeout_s = REQUEST_TIMEOUT_S
    made.write_timeout_s = REQUEST_TIMEOUT_S
    return made


@contextmanager
def client(worker: Worker, serve: Callable[..., None] | None = None) -> Iterator[socket.socket]:
    """A connection that the worker serves."""
    ours, theirs = socket.socketpair()
    serve = serve or partial(worker.handle, None)
    serving = threading.Thread(target=serve, args=(theirs, ("192.0.2.1", 4711)), daemon=True)
    serving.start()
    ours.settimeout(10)
    with ours:
        yield ours
    serving.join(10)
    assert not serving.is_alive()
    assert theirs.fileno() == -1


def answer(connection: socket.socket) -> tuple[int, bytes]:
    with HTTPResponse(connection) as response:
        response.begin()
        return response.status, response.read()


def is_closed(connection: socket.socket) -> bool:
    """Whether the worker has closed the connection. What it had not read by then comes back as a reset."""
    try:
        return connection.recv(100) == b""
    except ConnectionResetError:
        return True


def reason(connection: socket.socket) -> str:
    status, content = answer(connection)
    problem: dict[str, Any] = json.loads(content)
    assert problem["status"] == status
    assert is_closed(connection)
    return f"{status} {problem['reason']}"


def drip(connection: socket.socket, piece: bytes) -> None:
    """Sends a byte now and then, until nobody wants it."""
    deadline = time.monotonic() + 10
    connection.settimeout(0.02)
    while time.monotonic() < deadline:
        try:
            connection.sendall(piece)
            if connection.recv(1, socket.MSG_PEEK) is not None:
                break
        except TimeoutError:
            continue
        except OSError:
            break
    connection.settimeout(10)


def test_connection_accepted_before_its_listening_socket_closed_is_served(worker: Worker) -> None:
    listening = gevent.socket.socket()
    listening.bind(("127.0.0.1", 0))
    worker.sockets = [listening]
    # gunicorn's loop starts to accept, stops at once, and closes the socket.
    worker.alive = False
    worker.run()
    worker.alive = True
    with client(worker, partial(worker.handle, listening)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        assert answer(connection) == (200, b"{}")


def test_head_that_drips_is_refused_with_its_reason(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nX-A: ")
        drip(connection, b"a")
        assert reason(connection) == "400 too-slow"


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
def test_body_that_drips_is_refused(framing: bytes, worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n")
        drip(connection, b"1")
        assert answer(connection) == (200, b"too-slow")
        assert is_closed(connection)


def test_connection_that_sends_nothing_is_closed_without_an_answer(worker: Worker) -> None:
    with client(worker) as connection:
        assert is_closed(connection)


def test_used_connection_is_kept_for_the_whole_keepalive(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda least, _most: least)
    with client(worker) as connection:
        started = time.monotonic()
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        assert answer(connection) == (200, b"ab")
        assert is_closed(connection), "without a word"
        assert time.monotonic() - started >= KEEPALIVE_S


def test_connection_opened_in_advance_is_served_after_the_short_bound(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GeventWorker, "notify", lambda _worker: None)
    worker.first_byte_timeout_s = 0.05
    with ExitStack() as opened:
        connections = [opened.enter_context(client(worker)) for _ in range(8)]
        wait_until(lambda: idle_connections(worker, worker.first_byte_timeout_s) == 8)
        worker.notify()
        for connection in connections:
            connection.sendall(REQUEST)
            assert answer(connection) == (200, b"ab")


def test_under_pressure_a_connection_that_never_sent_a_byte_is_closed(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GeventWorker, "notify", lambda _worker: None)
    worker.keepalive_s = 100
    worker._limiter = ConnectionLimiter(max_connections=4, max_bytes=100)
    with client(worker) as used, ExitStack() as opened:
        used.sendall(REQUEST)
        assert answer(used) == (200, b"ab")
        silent = opened.enter_context(client(worker))
        wait_until(lambda: idle_connections(worker, 0) == 2)
        younger = opened.enter_context(client(worker))
        wait_until(lambda: idle_connections(worker, worker.first_byte_timeout_s) == 3)
        worker.notify()
        assert is_closed(silent), "without a word"
        for connection in (used, younger):
            connection.sendall(REQUEST)
            assert answer(connection) == (200, b"ab")


def test_stopping_worker_closes_connections_that_never_sent_a_byte(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GeventWorker, "notify", lambda _worker: None)
    worker.keepalive_s = 100
    with client(worker) as connection:
        wait_until(lambda: idle_connections(worker, worker.first_byte_timeout_s) == 1)
        worker.alive = False
        worker.notify()
        assert is_closed(connection)


def test_byte_and_then_silence_on_a_connection_opened_in_advance_has_the_bound_of_a_request(
    worker: Worker,
) -> None:
    worker.keepalive_s = 100
    worker.first_byte_timeout_s = 0.05
    with client(worker) as connection:
        wait_until(lambda: idle_connections(worker, worker.first_byte_timeout_s) == 1)
        connection.sendall(b"P")
        assert reason(connection) == "400 too-slow"


def test_message_is_answered_among_many_silent_connections(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GeventWorker, "notify", lambda _worker: None)
    worker.keepalive_s = 100
    worker._limiter = ConnectionLimiter(max_connections=20, max_bytes=1000)
    with ExitStack() as opened:
        for _ in range(60):
            opened.enter_context(client(worker))
        with client(worker) as connection:
            connection.sendall(REQUEST)
            assert answer(connection) == (200, b"ab")
            wait_until(lambda: idle_connections(worker, worker.first_byte_timeout_s) == 20)
            worker.notify()
            assert len(worker._limiter._bytes_of) == 10
            connection.sendall(REQUEST)
            assert answer(connection) == (200, b"ab")


def test_request_that_was_read_whole_is_answered_though_its_connection_is_evicted(
    worker: Worker,
) -> None:
    oldest: list[Connection] = []

    def answer_after_eviction(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        parts = echo(environ, start_response)
        wait_until(lambda: bool(oldest) and oldest[0].is_evicted)
        return parts

    worker._limiter = ConnectionLimiter(max_connections=1, max_bytes=100)
    worker.wsgi = answer_after_eviction
    with client(worker) as first:
        first.sendall(REQUEST)
        wait_until_begun(worker)
        oldest.extend(worker._limiter._bytes_of)
        with client(worker) as second:
            assert answer(first) == (200, b"ab")
            worker.wsgi = echo
            second.sendall(REQUEST)
            assert answer(second) == (200, b"ab")


def test_idle_connection_is_evicted_without_an_answer(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        assert answer(connection) == (200, b"ab")
        wait_until(lambda: any(not each.request_started for each in worker._limiter._bytes_of))
        for each in list(worker._limiter._bytes_of):
            each.evict()
        assert is_closed(connection)


def test_stopping_worker_closes_idle_connections(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GeventWorker, "notify", lambda _worker: None)
    worker.keepalive_s = 100
    with client(worker) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        assert answer(connection) == (200, b"ab")
        wait_until(
            lambda: all(each.is_idle(REQUEST_TIMEOUT_S) for each in worker._limiter._bytes_of)
        )
        worker.notify()
        assert select.select([connection], [], [], 0.05)[0] == [], "nothing ends yet"
        worker.alive = False
        worker.notify()
        assert is_closed(connection)


def test_part_of_a_request_that_came_with_the_one_before_starts_its_deadline(
    worker: Worker,
) -> None:
    worker.keepalive_s = 100
    whole = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
    with client(worker) as connection:
        connection.sendall(whole + whole + whole[:10])
        with connection.makefile("rb") as answers:
            told = answers.read()
    assert told.count(b"HTTP/1.1 200 OK") == 2
    assert b"too-slow" in told


def test_each_request_has_a_deadline_of_its_own(worker: Worker) -> None:
    with client(worker) as connection:
        started = time.monotonic()
        while time.monotonic() - started < 2 * REQUEST_TIMEOUT_S:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
            assert answer(connection) == (200, b"ab")


def test_client_that_does_not_read_its_answers_is_disconnected(worker: Worker) -> None:
    big = b"x" * 1_000_000
    request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + big
    with client(worker) as connection, pytest.raises(OSError, match=r"reset|Broken pipe"):
        for _ in range(20):
            connection.sendall(request)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"GET\r\n\r\n", "400 bad-request"),
        # llhttp accepts it.
        (b"GET  / HTTP/1.1\r\n\r\n", "400 bad-request"),
        (b"GET / HTTP/2.0\r\n\r\n", "400 bad-request"),
        (b"GET / HTTP/1.1\r\nX Y: 1\r\n\r\n", "400 bad-request"),
        (b"GET / HTTP/1.1\r\nExpect: wonders\r\n\r\n", "400 bad-request"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: wonders\r\n\r\n", "400 bad-request"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", "413 too-large"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", "413 too-large"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", "413 too-large"),
        (b"GET / HTTP/1.1\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 20, "413 too-large"),
    ],
)
def test_malformed_request_is_answered_with_a_problem_and_the_connection_closed(
    head: bytes, told: str, worker: Worker
) -> None:
    with client(worker) as connection:
        connection.sendall(head)
        assert reason(connection) == told


def test_exception_of_the_application_is_answered_with_a_problem(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"GET /raises HTTP/1.1\r\nHost: h\r\n\r\n")
        assert reason(connection) == "503 internal-error"


def test_connection_is_kept_after_a_short_unread_body(worker: Worker) -> None:
    with client(worker) as connection:
        for _ in range(2):
            connection.sendall(b"POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
            assert answer(connection) == (200, b"unread")


def test_connection_is_closed_after_a_long_unread_body(worker: Worker) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n"
    with client(worker) as connection:
        connection.sendall(head + b"x" * 200_000)
        assert answer(connection) == (200, b"unread")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            for _ in range(50):
                connection.sendall(b"x" * 200_000)


@pytest.mark.parametrize("rest", [b"zz\r\n", b""], ids=["malformed", "missing"])
def test_connection_is_closed_after_malformed_unread_chunks(rest: bytes, worker: Worker) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with client(worker) as connection:
        connection.sendall(head + rest)
        assert answer(connection) == (200, b"unread")
        assert is_closed(connection)


@pytest.mark.parametrize(
    ("path", "sent"),
    [(b"/unread", b""), (b"/unread", b"5\r\nab"), (b"/unread", b"0\r\n"), (b"/", b"zz\r\n")],
)
def test_chunked_request_that_is_refused_keeps_its_place_for_the_time_of_draining_alone(
    path: bytes, sent: bytes, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.server.worker.LINGER_S", 0.1)
    worker.request_timeout_s = 1000
    head = b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" % path
    with client(worker) as connection:
        connection.sendall(head + sent)
        assert answer(connection)[0] == 200
        # The client sends no more and does not close, so only the worker can end it.
        wait_until(lambda: not worker._limiter._bytes_of, timeout_s=10)


def test_request_that_is_evicted_in_its_head_is_answered_too_slow(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST / HT")
        wait_until_begun(worker)
        for each in list(worker._limiter._bytes_of):
            each.evict()
        assert reason(connection) == "400 too-slow"


def test_malformed_line_before_much_else_is_answered(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"GET /\xe9 HTTP/1.1\r\n" + b"x" * 60_000)
        assert answer(connection)[0] == 400
        connection.sendall(b"x" * 60_000)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10000000", b"Transfer-Encoding: chunked\r\n\r\nzz"]
)
def test_answer_announces_the_close_where_no_further_request_can_be_read(
    framing: bytes, worker: Worker
) -> None:
    with client(worker) as connection:
        path = b"/unread" if b"Length" in framing else b"/"
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n" % (path, framing))
        assert ends_after_answer(connection)


def test_answer_announces_the_close_if_the_worker_began_to_stop_meanwhile(
    worker: Worker,
) -> None:
    def ending(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        worker.alive = False
        return echo(environ, start_response)

    worker.wsgi = ending
    with client(worker) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        assert ends_after_answer(connection)


def test_stopping_worker_serves_one_request_of_a_new_connection(worker: Worker) -> None:
    worker.alive = False
    with client(worker) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
        assert ends_after_answer(connection)


def test_unread_chunked_body_is_freed_without_a_collection(worker: Worker) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    gc.collect()
    gc.disable()
    try:
        with client(worker) as connection:
            connection.sendall(head + b"%x\r\n" % 10**6 + b"x" * 100_000)
            assert ends_after_answer(connection)
        assert not [one for one in gc.get_objects() if isinstance(one, ChunkDecoder)]
    finally:
        gc.enable()


def test_no_header_of_any_peer_sets_scheme_path_or_address(worker: Worker) -> None:
    environs: list[dict[str, Any]] = []

    def record(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environs.append(environ)
        return echo(environ, start_response)

    worker.wsgi = record
    with client(worker) as connection:
        connection.sendall(
            b"GET /path HTTP/1.1\r\nHost: h:9464\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n"
            b"Script_Name: /path\r\nPath_Info: /other\r\nX_Forwarded_For: 192.0.2.9\r\nRemote-Addr: 192.0.2.9\r\n\r\n"
        )
        assert answer(connection)[0] == 200
    (environ,) = environs
    facts = {"wsgi.url_scheme": "http", "PATH_INFO": "/path", "SCRIPT_NAME": "", "SERVER_PORT": ""}
    assert facts.items() <= environ.items()
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert not {"HTTP_X_FORWARDED_FOR", "HTTP_SCRIPT_NAME", "HTTP_PATH_INFO"} & environ.keys()


EXPECT = b"Host: h\r\nExpect: 100-continue\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "sent"),
    [(b"Content-Length: 2", b"ab"), (b"transfer-encoding: chunked", b"2\r\nab\r\n0\r\n\r\n")],
)
def test_continue_is_sent_when_the_body_is_read_and_the_connection_goes_on(
    framing: bytes, sent: bytes, worker: Worker
) -> None:
    with client(worker) as connection:
        for _ in range(2):
            connection.sendall(b"POST / HTTP/1.1\r\n" + EXPECT + framing + b"\r\n\r\n")
            assert connection.recv(100) == CONTINUE
            connection.sendall(sent)
            assert answer(connection) == (200, b"ab")


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 2", b"Content-Length: 100000000", b"Transfer-Encoding: chunked"],
)
@pytest.mark.parametrize("body", [b"", b"2\r\nab\r\n0\r\n\r\n", b"x" * 50_000])
def test_answer_before_the_body_is_read_has_no_continue_and_closes_the_connection(
    framing: bytes, body: bytes, worker: Worker
) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST /unread HTTP/1.1\r\n" + EXPECT + framing + b"\r\n\r\n")
        wait_until(lambda: connection.recv(1, socket.MSG_PEEK) == b"H")
        connection.sendall(body)
        assert ends_after_answer(connection)


def test_body_that_comes_without_waiting_is_answered_alone(worker: Worker) -> None:
    whole = b"POST / HTTP/1.1\r\n" + EXPECT + b"Content-Length: 2\r\n\r\nab"
    with client(worker) as connection:
        connection.sendall(whole + whole)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            received = answers.read()
    assert received.count(b"HTTP/1.1 ") == received.count(b"HTTP/1.1 200 OK\r\n") == 2


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n" + EXPECT + b"Content-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["HTTP/1.0", "not expected"],
)
def test_client_that_expects_no_continue_gets_none(head: bytes, worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(head)
        wait_until_begun(worker)
        connection.sendall(b"ab")
        assert answer(connection) == (200, b"ab")


def test_expectation_without_a_body_gets_its_answer_alone(worker: Worker) -> None:
    with client(worker) as connection:
        for framing in (b"", b"Content-Length: 0\r\n"):
            connection.sendall(b"GET / HTTP/1.1\r\n" + EXPECT + framing + b"\r\n")
            assert answer(connection) == (200, b"")


def test_exception_before_the_body_is_read_gets_no_continue(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST /raises HTTP/1.1\r\n" + EXPECT + b"Content-Length: 2\r\n\r\n")
        assert reason(connection) == "503 internal-error"


def ends_after_answer(connection: socket.socket) -> bool:
    """Whether the answer is a 200 that tells of the end, and the end comes."""
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        told = response.status == 200 and response.getheader("Connection") == "close"
    try:
        return told and is_closed(connection)
    except ConnectionResetError:
        # What was not read of the request.
        return told


def idle_connections(worker: Worker, seconds: float) -> int:
    return sum(each.is_idle(seconds) for each in list(worker._limiter._bytes_of))


def wait_until_begun(worker: Worker) -> None:
    wait_until(lambda: any(each.request_started for each in worker._limiter._bytes_of))


def test_stopping_worker_closes_a_connection_after_its_answer(worker: Worker) -> None:
    with client(worker) as connection:
        connection.sendall(b"POST / HT")
        wait_until_begun(worker)
        worker.alive = False
        connection.sendall(b"TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        assert answer(connection) == (200, b"")
        assert is_closed(connection)
