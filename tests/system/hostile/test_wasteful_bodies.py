"""Bodies in absurd pieces: refusing one costs what its bytes cost, and one that is read costs no more than an honest one."""

import json
import socket
from collections.abc import Iterator

import pytest

from testbed.service import RECEIVER, Service

TOKEN = "token-of-all-the-tests"
SIZE = 410_000
TIMES = 25
ONE_BYTE = b"1\r\nx\r\n"
LAST = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def service(redis_server: str) -> Iterator[Service]:
    settings = {"REDIS_URL": redis_server, "CALLBACK_TOKEN": TOKEN, "WEB_CONCURRENCY": "1"}
    with Service(*RECEIVER, **settings) as running:
        running.wait_until_ready()
        yield running


def post(service: Service, path: str, framing: str, body: bytes) -> bytes:
    """Sends all of it, and reads the answer to its end; empty if there is none."""
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\nConnection: close\r\n\r\n"
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        try:
            connection.sendall(head.encode() + body)
        except OSError:
            # It does not read on; what it answered is there all the same.
            pass
        try:
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
    return answer


def chunked(service: Service, path: str, body: bytes) -> bytes:
    return post(service, path, "Transfer-Encoding: chunked", body)


def in_chunks(data: bytes, size: int, extension: bytes = b"") -> bytes:
    parts = (data[at : at + size] for at in range(0, len(data), size))
    return b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts) + LAST


def cpu_s(service: Service) -> float:
    used = [process.cpu_times() for process in service.family()]
    return sum(one.user + one.system for one in used)


def message(size: int, number: int = 0) -> bytes:
    return json.dumps({"type": "new", "n": number, "padding": "x" * size}).encode()


@pytest.mark.parametrize(
    "body",
    [
        ONE_BYTE * (SIZE // len(ONE_BYTE)),
        b"1;" + b"a;" * 4000 + b"a\r\nx\r\n",
        in_chunks(b"x" * 40_000, 1, b";a=b"),
    ],
    ids=["one-byte", "extensions", "one-byte-with-extensions"],
)
@pytest.mark.parametrize("path", ["/nowhere", "/healthz"])
def test_refusing_chunks_costs_no_more_than_refusing_their_bytes(
    service: Service, path: str, body: bytes
) -> None:
    body = (body * (SIZE // len(body) + 1))[:SIZE]
    framings = (f"Content-Length: {len(body)}", "Transfer-Encoding: chunked")
    used = []
    for framing in framings:
        before = cpu_s(service)
        for _ in range(TIMES):
            answer = post(service, path, framing, body)
            assert not answer or answer.split()[1] in (b"404", b"405", b"413")
        used.append(cpu_s(service) - before)
    honest, absurd = used
    # Without the mending 1.5 s and more, for one-byte chunks.
    assert absurd < 4 * honest + 0.3


def test_answer_to_a_refused_chunked_body_arrives(service: Service) -> None:
    answers = [chunked(service, "/nowhere", ONE_BYTE * 60_000 + LAST) for _ in range(5)]
    assert {answer.split()[1] for answer in answers} == {b"404"}


def test_message_in_pieces_of_any_sensible_size_is_kept(service: Service) -> None:
    path = f"/cb/{TOKEN}"
    for number, size in enumerate((64, 128, 1024, 8192, 10**6)):
        answer = chunked(service, path, in_chunks(message(1_000_000, number), size))
        assert answer.startswith(b"HTTP/1.1 200"), (size, answer)
    assert chunked(service, path, in_chunks(message(8000), 1)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "body",
    [
        in_chunks(message(200_000), 1),
        in_chunks(message(200_000), 4),
        in_chunks(message(400), 1, b";" + b"a;" * 3000 + b"a"),
        b"2;" + b"a" * 100_000 + b"\r\n{}\r\n" + LAST,
        b"2\r\n{}\r\n0\r\n"
        + b"".join(b"A%d: %s\r\n" % (n, b"x" * 4000) for n in range(99))
        + b"\r\n",
    ],
    ids=["one-byte", "four-bytes", "extensions", "one-extension", "trailers"],
)
def test_message_that_is_mostly_framing_is_refused(service: Service, body: bytes) -> None:
    answer = chunked(service, f"/cb/{TOKEN}", body)
    assert not answer or answer.split()[1] in (b"413", b"400"), answer
    assert service.ready()


def test_chunked_message_that_is_too_large_is_refused_as_such(service: Service) -> None:
    answer = chunked(service, f"/cb/{TOKEN}", in_chunks(message(5 * 2**20), 2000))
    assert not answer or answer.split()[1] == b"413"
    assert "internal-error" not in service.log()


def test_framing_costs_little_before_it_is_refused(service: Service) -> None:
    absurd, honest = in_chunks(message(600_000), 1), message(3_600_000)
    path, used = f"/cb/{TOKEN}", []
    for framing, body in (
        (f"Content-Length: {len(honest)}", honest),
        ("Transfer-Encoding: chunked", absurd),
    ):
        before = cpu_s(service)
        for _ in range(10):
            post(service, path, framing, body)
        used.append(cpu_s(service) - before)
    assert used[1] < 4 * used[0] + 0.3


def test_content_that_looks_like_framing_costs_no_more_than_other_content(
    service: Service,
) -> None:
    path, used = f"/cb/{TOKEN}", []
    for content in (b"x", b"\r\n", b"0\r\n\r\n"):
        body = in_chunks(content * (5 * 2**20 // len(content)), 5 * 2**20)
        before = cpu_s(service)
        for _ in range(3):
            answer = chunked(service, path, body)
            assert not answer or answer.split()[1] == b"413"
        used.append(cpu_s(service) - before)
    # Feeding the content to llhttp in pieces, one for each empty line, took 3.4 s.
    assert max(used[1:]) < 4 * used[0] + 0.3
