"""Heads taken the short way are what gunicorn's parser makes of them; all others are gunicorn's."""

from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.server import head
from tests.service_process import ROOT

PLAIN = (
    b"POST /cb/t0-k_e~n. HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    b"X-Text:\t a: \xe4 , \t\r\nX-Empty:\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n"
)
LINES = (
    *(b"Host: h", b"HOST: other", b"Content-Length: 2", b"content-length:2", b"Content-Length: +2"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Expect: 100-continue"),
    *(
        b"Expect: more",
        b"X: a",
        b"x:\tb ",
        b"X_Y: a",
        b"X Y: a",
        b" folded",
        b"X : a",
        b": a",
        b"X",
    ),
    *(
        b"X: \x00",
        b"X: \x7f",
        b"X: \xff",
        b"X: a\rb",
        b"X: a\nb",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Ssl: off",
    ),
    *(b"Connection: close", b"!#$%&'*+.^`|~: token", b"\xc3\xa4: a", b"X: " + b"a" * 8190, b""),
)
STARTS = (
    *(b"POST /cb HTTP/1.1", b"GET / HTTP/1.1", b"GET /a HTTP/1.0", b"POST /a?b=c HTTP/1.1"),
    *(b"POST //a HTTP/1.1", b"POST /a//b/ HTTP/1.1", b"POST /%41 HTTP/1.1", b"POST /a#b HTTP/1.1"),
    *(b"post /a HTTP/1.1", b"PATCH /a HTTP/1.1", b"POST  /a HTTP/1.1", b"POST /a HTTP/1.1 "),
    *(b"POST /a HTTP/2.0", b"POST http://h/a HTTP/1.1", b"POST * HTTP/1.1", b"POST a HTTP/1.1"),
    *(b"POST /a\tb HTTP/1.1", b"POST /" + b"a" * 4090 + b" HTTP/1.1", b"", b"POST /..;/a HTTP/1.1"),
)
ENDS = st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n"))


def config() -> Any:
    """gunicorn's, with what `gunicorn.conf.py` sets for its parser."""
    made = Config()
    for name in ("forwarder_headers", "forwarded_allow_ips"):
        made.set(name, "")
    made.set("secure_scheme_headers", {})
    made.set("limit_request_line", 4094)
    return made


def read(kind: type[Request], *pieces: bytes, peer: Any = ("192.0.2.1", 4711)) -> tuple[Any, ...]:
    """What a request has that is read of some pieces, and what is left; or how that failed."""
    unreader = IterUnreader(iter(pieces))
    try:
        found = kind(config(), unreader, peer)
    except (ParseException, StopIteration, OSError) as error:
        return (type(error),)
    facts = (
        "method",
        "uri",
        "path",
        "query",
        "fragment",
        "version",
        "headers",
        "must_close",
        "scheme",
    )
    body = found.body.reader
    return (
        *(getattr(found, name) for name in facts),
        *(found.should_close(), found._expected_100_continue),
        *(type(body), getattr(body, "length", None), unreader.take_buffered()),
    )


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.sampled_from(LINES), max_size=6))
    text = b"".join(line + draw(ENDS) for line in (draw(st.sampled_from(STARTS)), *lines))
    return text + draw(
        st.sampled_from((b"\r\n", b"\r\n{}", b"", b"\r", b"\r\n\r\nGET / HTTP/1.1\r\n"))
    )


@pytest.fixture
def asked_gunicorn(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """How often gunicorn's own parser was asked, by `PlainFirst`."""
    asked: list[bytes] = []
    original = Request.parse

    def parse(self: Request, unreader: Any) -> bytes:
        asked.append(b"")
        rest: bytes = original(self, unreader)
        return rest

    monkeypatch.setattr(Request, "parse", parse)
    return asked


@settings(deadline=None)
@given(head_=heads())
def test_a_head_is_read_as_gunicorn_reads_it(head_: bytes) -> None:
    assert read(head.PlainFirst, head_) == read(Request, head_)
    # On a Unix socket, where gunicorn trusts whoever is at the other end.
    assert read(head.PlainFirst, head_, peer="") == read(Request, head_, peer="")


@given(head_=heads(), cut=st.integers(0, 200))
def test_likewise_in_pieces(head_: bytes, cut: int) -> None:
    pieces = [piece for piece in (head_[:cut], head_[cut:]) if piece]
    assert read(head.PlainFirst, *pieces) == read(Request, *pieces)


def test_a_plain_head_is_not_gunicorns_to_read(asked_gunicorn: list[bytes]) -> None:
    found = read(head.PlainFirst, PLAIN)
    assert not asked_gunicorn
    assert found == read(Request, PLAIN)
    assert found[-1] == b"{}GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "line", [line for line in LINES if line[:2] not in (b"X:", b"x:", b"Co", b"co")]
)
def test_whatever_there_is_to_decide_is_gunicorns(line: bytes, asked_gunicorn: list[bytes]) -> None:
    read(head.PlainFirst, PLAIN.replace(b"X-Empty:", line))
    plain = line.startswith((b"Transfer-Encoding", b"X-Forwarded")) or not line
    assert bool(asked_gunicorn) != plain


def test_no_limit_of_gunicorns_is_passed_by() -> None:
    settings = (ROOT / "gunicorn.conf.py").read_text()
    limits = {
        name: int(value)
        for name, _, value in (line.partition(" = ") for line in settings.splitlines())
        if name.startswith("limit_request_")
    }
    assert limits["limit_request_fields"] >= head.MOST_FIELDS
    assert min(limits["limit_request_line"], limits["limit_request_field_size"]) >= head.LONGEST
