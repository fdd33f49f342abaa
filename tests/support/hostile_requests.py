"""Hostile requests as bytes, each with the statuses that answer it: the table of test_hostile.py.

The receiver has a token, a password and a source filter behind one proxy; see `SETTINGS`.
"""

import gzip
import json
import zlib
from typing import NamedTuple

TOKEN = "tok3n-of-the-hostile-table"
PATH = f"/cb/{TOKEN}"
LOGIN = {"username": "listener", "password": "p4ssword-of-the-table"}
ACCOUNT = "0242078689-00001"
LIMIT = 65536
SETTINGS = {
    "PUBLIC_URL": "https://fota.example/cb",
    "CALLBACK_TOKEN": TOKEN,
    "CALLBACK_USERNAME": LOGIN["username"],
    "CALLBACK_PASSWORD": LOGIN["password"],
    "CALLBACK_SOURCES": "192.0.2.0/24",
    "TRUSTED_PROXIES": "1",
    "THINGSPACE_ACCOUNTS": ACCOUNT,
    "MAX_BODY_BYTES": str(LIMIT),
}
LISTED = "X-Forwarded-For: 192.0.2.7"
# Nothing of a request may come back: this is in many of them.
MARK = "h0stile"
GOOD = json.dumps({**LOGIN, "type": MARK}).encode()


class Row(NamedTuple):
    """One connection: what is sent, and the statuses of the answers; none: it is only closed."""

    name: str
    sent: bytes
    statuses: tuple[int, ...]


def head(line: str, *headers: str) -> bytes:
    """A request's head, in Latin-1, with a Host."""
    return "\r\n".join([line, "Host: h", *headers, "", ""]).encode("latin-1")


def post(body: bytes = GOOD, *headers: str, path: str = PATH, source: str = LISTED) -> bytes:
    """A POST with its Content-Length, through the proxy from a listed address."""
    length = f"Content-Length: {len(body)}"
    return head(f"POST {path} HTTP/1.1", *filter(None, [source]), *headers, length) + body


def chunked(chunks: bytes, *headers: str) -> bytes:
    """A POST whose body is these chunks, as they are."""
    return head(f"POST {PATH} HTTP/1.1", LISTED, "Transfer-Encoding: chunked", *headers) + chunks


def message(**members: object) -> bytes:
    """An authentic message with more members, or other ones."""
    return json.dumps({**LOGIN, "type": MARK, **members}).encode()


def with_login(rest: bytes) -> bytes:
    """An object of the right credentials and more text."""
    return json.dumps(LOGIN).encode()[:-1] + b", " + rest + b"}"


def rows(group: str, statuses: int | tuple[int, ...], *sent: bytes) -> list[Row]:
    """Several of one sort that are answered alike."""
    found = (statuses,) if isinstance(statuses, int) else statuses
    return [
        Row(f"{group} {number}: {bytes_[:60]!r}", bytes_, found)
        for number, bytes_ in enumerate(sent)
    ]


def line(text: str) -> bytes:
    """A request of one line."""
    return text.encode("latin-1") + b"\r\nHost: h\r\n\r\n"


REQUEST_LINES = rows(
    "request line",
    400,
    b"\r\n\r\n",
    b"\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"\n\nGET / HTTP/1.1\r\n\r\n",
    b"\nGET / HTTP/1.1\r\n\r\n",
    b"\rGET / HTTP/1.1\r\n\r\n",
    b"\x05\x01\x00",
    b"\x00" * 1000,
    b"A" * 9000,
    *map(
        line,
        [
            "GET",
            "GET /",
            "GET /h0stile",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1 h0stile",
            " GET / HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "get / HTTP/1.1",
            "post /h0stile HTTP/1.1",
            "G / HTTP/1.1",
            "A" * 21 + " / HTTP/1.1",
            "A" * 9000,
            "TRACK / HTTP/1.1",
            "DEBUG /h0stile HTTP/1.1",
            "POSTS / HTTP/1.1",
            "G@T / HTTP/1.1",
            "P\x00ST / HTTP/1.1",
            "P\xd6ST / HTTP/1.1",
            "POST\x0b/ HTTP/1.1",
            "/ GET HTTP/1.1",
            "HTTP/1.1 200 OK",
            "POST / HTTP/0.9",
            "POST / HTTP/2.0",
            "POST / HTTP/3.0",
            "POST / HTTP/11.1",
            "POST / HTTP/1",
            "POST / HTTP/1.",
            "POST / HTTP/1.x",
            "POST / HTTP/1.10",
            "POST / http/1.1",
            "POST / HTTQ/1.1",
            "POST / HTTP/-1.1",
            "POST / HTTP/1.1\x00",
            "POST / HTTP/1.1\r",
            "POST / ICY/1.1",
            "POST / RTSP/1.0",
            "POST / ICE/1.0",
            "SOURCE / ICE/1.0",
            "POST  / HTTP/1.1",
            "POST /  HTTP/1.1",
            "POST /",
            "POST / HTTP/1.2",
            "POST / \xb9HTTP/1.1",
            "DESCRIBE rtsp://h/h0stile RTSP/1.0",
            "POST h0stile HTTP/1.1",
            "POST * HTTP/1.1",
            "POST h:80 HTTP/1.1",
            "POST /h0stile\x00 HTTP/1.1",
            "POST /h0stile\x7f HTTP/1.1",
            "POST /h0stile\tb HTTP/1.1",
            "POST /h0stile\xff HTTP/1.1",
            "POST /h0stile\xc3\xbc HTTP/1.1",
            "POST http://[::1/h0stile HTTP/1.1",
        ],
    ),
    b"POST / HTTP/1.1\nHost: h\n\n",
    b"POST / HTTP/1.1\r\nHost: h\n\n",
    b"POST / HTTP/1.1\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03h0stile\r\n\r\n",
    b"SSH-2.0-h0stile\r\n",
    b"EHLO h0stile\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\nPOST / HTTP/1.1\r\n\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"\xc0\x00\x02\x07" * 3,
    bytes(range(256)),
)
UNFINISHED = rows(
    "unfinished",
    (),
    b"",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"POST",
    head(f"POST {PATH} HTTP/1.1")[:-2],
    head(f"POST {PATH} HTTP/1.1", "X: h0stile")[:-4],
)
RARE = ("PROPFIND", "PURGE", "M-SEARCH")
METHODS = [
    *rows(
        "method elsewhere",
        404,
        *(line(f"{name} /h0stile HTTP/1.1") for name in ("GET", "HEAD", "PUT", "TRACE", "OPTIONS")),
        *(line(f"{name} / HTTP/1.1") for name in RARE),
        line("CONNECT h0stile:443 HTTP/1.1"),
        line("OPTIONS * HTTP/1.1"),
        post(path="//healthz"),
    ),
    *rows(
        "method",
        405,
        *(
            head(f"{name} {PATH} HTTP/1.1", LISTED, "Content-Length: 0")
            for name in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", *RARE)
        ),
        line("POST /healthz HTTP/1.1"),
        line("DELETE /readyz HTTP/1.1"),
        post(path="/healthz/"),
        head(f"GET {PATH} HTTP/1.1", LISTED, "X-HTTP-Method-Override: POST"),
        head(f"PUT {PATH} HTTP/1.1", LISTED, "X-HTTP-Method: POST", "X-Method-Override: POST"),
    ),
]
PATHS = [
    *rows(
        "path",
        404,
        *(
            post(path=path)
            for path in (
                "/",
                "//",
                "/cb",
                "/cb/",
                f"{PATH}//",
                f"//cb/{TOKEN}",
                f"/cb//{TOKEN}",
                f"/./cb/{TOKEN}",
                f"/cb/./{TOKEN}",
                f"/x/../cb/{TOKEN}",
                f"/cb/x/../{TOKEN}",
                f"{PATH}/..",
                f"{PATH}/.",
                f"{PATH}/../{TOKEN}",
                f"/cb/%2e/{TOKEN}",
                f"/%2e%2e/cb/{TOKEN}",
                f"/cb/x/%2e%2e/{TOKEN}",
                f"/cb/..%2fcb%2f{TOKEN}",
                f"/cb/..%5c{TOKEN}",
                f"/cb\\{TOKEN}",
                f"/cb%252f{TOKEN}",
                f"{PATH};h0stile",
                f"/cb;h0stile/{TOKEN}",
                f"{PATH}%00",
                f"{PATH}%00.asmx",
                f"{PATH}%20",
                f"/cb/%20{TOKEN}",
                f"{PATH}%09",
                f"{PATH}%0a",
                f"{PATH}%0d%0aX-H0stile:%201",
                f"{PATH}%ff",
                f"{PATH}%e2%80%8b",
                f"{PATH}%3fx",
                f"{PATH}%23x",
                f"/CB/{TOKEN}",
                f"/cb/{TOKEN.upper()}",
                f"/cb/{TOKEN[:-1]}",
                f"/cb/{TOKEN}x",
                f"/cb/{TOKEN[1:]}",
                f"/cb/{TOKEN}{TOKEN}",
                f"/cb/?{TOKEN}",
                f"/cb?token={TOKEN}",
                f"/cb/#{TOKEN}",
                "/cb/%",
                "/cb/%zz",
                "/cb/%u0041",
                "/cb/%c0%af",
                "/cb/%ed%a0%80",
                "/cb/%f0%9f%92%a9",
                "/cb/*",
                "/cb/' OR '1'='1".replace(" ", "%20"),
                "/cb/${jndi:ldap://h0stile/a}",
                "/cb/{{7*7}}",
                "/cb/<script>h0stile</script>",
                "/" + "a" * 3000,
                "/" * 3000,
                "/" + "../" * 900,
                "/" + "%2e" * 1000,
                "/" + ";" * 3000,
                "/etc/passwd",
                "/.env",
                "/.git/config",
                "/admin",
                "/metrics",
                "/version",
                "/openapi.json",
                "/static/status.css",
                "/healthz%00",
                "/readyz/../healthz",
                "http://h0stile/admin",
                "http://h0stile:99999/",
                "file:///etc/passwd",
                "javascript://h0stile",
                "x://",
            )
        ),
    ),
    *rows(
        "path behind forged headers",
        404,
        *(
            post(GOOD, header, path="/h0stile")
            for header in (
                f"X-Original-URL: {PATH}",
                f"X-Rewrite-URL: {PATH}",
                f"X-Forwarded-Prefix: {PATH}",
                f"PATH_INFO: {PATH}",
                "SCRIPT_NAME: /h0stile",
                f"Authorization: Bearer {TOKEN}",
                f"Cookie: token={TOKEN}",
                "X-Probe-Nonce: h0stile",
                "Upgrade: websocket",
                "Connection: Upgrade, HTTP2-Settings",
                "X-Request-Id: \xff\xfe",
                "Host_: h0stile",
            )
        ),
    ),
]
HEADERS = rows(
    "header",
    400,
    *(
        head(f"POST {PATH} HTTP/1.1", LISTED, *headers)
        for headers in (
            ["h0stile"],
            [": h0stile"],
            ["X Y: h0stile"],
            ["X : h0stile"],
            ["X\t: h0stile"],
            ["X: a", " h0stile"],
            ["X: a", "\th0stile"],
            ["X: a\nY: h0stile"],
            ["X: a\rY: h0stile"],
            ["X: h0stile\x00"],
            ["X\x00: h0stile"],
            ["X: \x0bh0stile"],
            ["X: \x7f"],
            ["X: \x1b[2J"],
            ["X\xff: h0stile"],
            ["X(: h0stile"],
            ['"X": h0stile'],
            ["Host: h0stile"],
            ["Content-Type: a", "Content-Type: b"],
            ["Expect: h0stile"],
            ["Expect: 100-continue, h0stile"],
            ["Content-Length: -1"],
            ["Content-Length: +2"],
            ["Content-Length: 0x2"],
            ["Content-Length: 2e0"],
            ["Content-Length: 2.0"],
            ["Content-Length: 2,2"],
            ["Content-Length: 2 2"],
            ["Content-Length: "],
            ["Content-Length: \xb2"],
            ["Content-Length: h0stile"],
            ["Content-Length: 2", "Content-Length: 2"],
            ["Content-Length: 2", "Content-Length: 3"],
            ["Content-Length : 2"],
            ["Transfer-Encoding: h0stile"],
            ["Transfer-Encoding: chunked, chunked"],
            ["Transfer-Encoding: chunked, identity"],
            ["Transfer-Encoding: chunked, gzip"],
            ["Transfer-Encoding: identity"],
            ["Transfer-Encoding: gzip"],
            ["Transfer-Encoding: "],
            ["Transfer-Encoding: xchunked"],
            ["Transfer-Encoding: x, chunked"],
            ["Transfer-Encoding: ,chunked"],
            ["Transfer-Encoding: chunked,"],
            ["Transfer-Encoding: chunkedx"],
            ["Transfer-Encoding: chunked;q=1"],
            ["Transfer-Encoding: \x0bchunked"],
            ["Transfer-Encoding : chunked"],
            ["Transfer-Encoding:", " chunked"],
            ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
            ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
            ["Transfer-Encoding: chunked", "Content-Length: 2"],
            ["Content-Length: 2", "Transfer-Encoding: chunked"],
            ["Content-Length: 0", "tRaNsFeR-eNcOdInG: cHuNkEd"],
            *(
                ["Upgrade: h2c", "Connection: Upgrade", *framing]
                for framing in (
                    ["Content-Length: 2", "Content-Length: 2"],
                    ["Content-Length: 2", "Transfer-Encoding: chunked"],
                    ["Transfer-Encoding: gzip"],
                    ["Transfer-Encoding: chunked, gzip"],
                    ["Transfer-Encoding: chunkedx"],
                )
            ),
        )
    ),
    b"POST / HTTP/1.1\r\n Host: h\r\n\r\n",
    head(f"POST {PATH} HTTP/1.0", LISTED, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n",
    head(f"GET {PATH} HTTP/1.1", LISTED, f"X-Probe-Nonce: {'n' * 65}"),
)
SIZES = rows(
    "size",
    413,
    line("POST /" + "h0stile" * 1000 + " HTTP/1.1"),
    head("POST / HTTP/1.1", "X: " + "h0stile" * 1200),
    head("POST / HTTP/1.1", "X" * 8200 + ": h0stile"),
    head("POST / HTTP/1.1", *["X: h0stile"] * 100),
    head("POST / HTTP/1.1", *[f"X-{n}: {n}" for n in range(5000)]),
    b"POST / HTTP/1.1\r\nX: " + b"a" * 1_000_000,
    post(b"x" * (LIMIT + 1)),
    post(b"x" * (LIMIT + 1), path="/h0stile"),
    post(b"x" * (LIMIT + 1), source=""),
    head(f"POST {PATH} HTTP/1.1", LISTED, f"Content-Length: {2**63}"),
    head(f"POST {PATH} HTTP/1.1", LISTED, f"Content-Length: {'9' * 40}"),
    head(f"POST {PATH} HTTP/1.1", LISTED, f"Content-Length: {'9' * 5000}"),
    chunked(b"10001\r\n" + b"x" * 0x10001 + b"\r\n0\r\n\r\n"),
    chunked(b"1\r\nx\r\n" * (LIMIT + 1) + b"0\r\n\r\n"),
    chunked(b"2;" + b"a" * 70_000 + b"\r\n{}\r\n0\r\n\r\n"),
    chunked(b"0" * 70_000 + b"2\r\n{}\r\n0\r\n\r\n"),
)
CHUNKS = rows(
    "chunks",
    400,
    *map(
        chunked,
        [
            b"",
            b"2",
            b"\r\n",
            b"2\r\n{}",
            b"2\r\n{}\r\n",
            b"2\r\n{}\r\n0\r\n",
            b"zz\r\n{}\r\n0\r\n\r\n",
            b"-2\r\n{}\r\n0\r\n\r\n",
            b"+2\r\n{}\r\n0\r\n\r\n",
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b" 2\r\n{}\r\n0\r\n\r\n",
            b"2 \r\n{}\r\n0\r\n\r\n",
            b"2_0\r\n{}\r\n0\r\n\r\n",
            b"2\n{}\n0\n\n",
            b"2\r{}\r0\r\r",
            b"2\r\n{}XX0\r\n\r\n",
            b"2\r\n{} \r\n0\r\n\r\n",
            b"1\r\n{}\r\n0\r\n\r\n",
            b"3\r\n{}\r\n0\r\n\r\n",
            b"2;\r\n{}\r\n0\r\n\r\n",
            b'2;a="h0stile\r\n{}\r\n0\r\n\r\n',
            b"2;a=\x00\r\n{}\r\n0\r\n\r\n",
            b"2;a\rb\r\n{}\r\n0\r\n\r\n",
            b"2 ;a\r\n{}\r\n0\r\n\r\n",
            b"2; a=b\r\n{}\r\n0\r\n\r\n",
            b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n",
            b"f" * 9000 + b"\r\n{}\r\n0\r\n\r\n",
            b"f" * 20_000,
            b"0\r\nHost: h0stile\r\n\r\n",
            b"0\r\nContent-Length: 2\r\n\r\n",
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"0\r\nAuthorization: h0stile\r\n\r\n",
            b"0\r\nTE: h0stile\r\nX: y\r\n\r\n",
            b"0\r\nX: a\r\n h0stile\r\n\r\n",
            b"0\r\nX Y: h0stile\r\n\r\n",
            b"0\r\nX: a\nY: h0stile\r\n\r\n",
            b"0\r\n" + b"X: a\r\n" * 101 + b"\r\n",
            b"0\r\n" + b"X: " + b"a" * 9000 + b"\r\n\r\n",
        ],
    ),
    post(b"{}")[:-1],
    head(f"POST {PATH} HTTP/1.1", LISTED, "Content-Length: 100") + GOOD[:20],
    post(b""),
    head(f"POST {PATH} HTTP/1.1", LISTED),
)
SOURCES = rows(
    "source",
    403,
    post(source=""),
    *(
        post(GOOD, *headers, source="")
        for headers in (
            ["X-Forwarded-For: 198.51.100.1"],
            ["X-Forwarded-For: 192.0.2.7, 198.51.100.1"],
            ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 198.51.100.1"],
            ["X-Forwarded-For: 192.0.2.7,"],
            ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: "],
            ["X-Forwarded-For: ,"],
            ["X_Forwarded_For: 192.0.2.7"],
            ["X-Forwarded-For: 198.51.100.1", "X_Forwarded_For: 192.0.2.7"],
            ["HTTP_X_FORWARDED_FOR: 192.0.2.7"],
            ["X-Real-IP: 192.0.2.7"],
            ["Forwarded: for=192.0.2.7"],
            ["Client-IP: 192.0.2.7", "X-Client-IP: 192.0.2.7", "True-Client-IP: 192.0.2.7"],
            ["REMOTE_ADDR: 192.0.2.7"],
            ["X-Forwarded-For: for=192.0.2.7"],
            ['X-Forwarded-For: "192.0.2.7"'],
            ["X-Forwarded-For: 192.0.2.7/24"],
            ["X-Forwarded-For: 192.0.2.07"],
            ["X-Forwarded-For: 192.0.519"],
            ["X-Forwarded-For: 3221225991"],
            ["X-Forwarded-For: 0xc0000207"],
            ["X-Forwarded-For: 192.0.2.7:h0stile"],
            ["X-Forwarded-For: 192.0.2.7 192.0.2.7"],
            ["X-Forwarded-For: 192.0.2.7;x"],
            ["X-Forwarded-For: ::ffff:198.51.100.1"],
            ["X-Forwarded-For: ::ffff:192.0.2.7%eth0"],
            ["X-Forwarded-For: [::ffff:198.51.100.1]:443"],
            ["X-Forwarded-For: [192.0.2.7"],
            ["X-Forwarded-For: [192.0.2.7]"],
            ["X-Forwarded-For: [::ffff:192.0.2.7"],
            ["X-Forwarded-For: localhost"],
            ["X-Forwarded-For: 127.0.0.1"],
            ["X-Forwarded-For: unknown"],
            ["X-Forwarded-For: h0stile.example"],
            ["X-Forwarded-For: \xb9\xb9\xb2.0.2.7"],
            ["X-Forwarded-For: " + "192.0.2.7," * 700 + "198.51.100.1"],
        )
    ),
)
ENCODINGS = rows(
    "encoding",
    400,
    *(
        post(GOOD, f"Content-Encoding: {name}")
        for name in ("gzip", "x-gzip", "deflate", "br", "zstd", "compress", "h0stile", "gzip, gzip")
    ),
    post(gzip.compress(GOOD), "Content-Encoding: gzip"),
    post(gzip.compress(b"0" * 30_000_000), "Content-Encoding: gzip"),
    post(gzip.compress(GOOD)),
    post(zlib.compress(GOOD)),
    post(GOOD, "Content-Encoding: identity", "Content-Encoding: gzip"),
    head(f"POST {PATH} HTTP/1.1", LISTED, "Transfer-Encoding: gzip, chunked")
    + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD),
    *(
        post(GOOD.decode().encode(name), f"Content-Type: application/json; charset={name}")
        for name in ("cp037", "cp500")
    ),
    *(
        post(with_login(b'"a": "\xe9"'), f"Content-Type: application/json; charset={name}")
        for name in ("zip", "rot13", "hex", "idna", "unicode_escape", "undefined", "x" * 4000, "")
    ),
    post(b"+AHsAIg-h0stile+ACIAfQ-", "Content-Type: application/json; charset=utf-7"),
)
NOT_JSON = rows(
    "json",
    400,
    *map(
        post,
        [
            b"h0stile",
            b"{",
            b"{}{}",
            b"\x00",
            b"\x00" + GOOD,
            GOOD + b",",
            GOOD[:-1],
            GOOD.replace(b'"', b"'"),
            b"\xff\xfe" + GOOD,
            b"[]",
            b"[" + GOOD + b"]",
            b"null",
            b"1",
            b'"' + b"h0stile" + b'"',
            b"password=h0stile&username=listener",
            b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nh0stile\r\n--x--\r\n",
            b'{"a":' * 2000,
            b"[" * 60_000,
            b'{"a":' * 64 + b"{}" + b"}" * 64,
        ],
    ),
    *(
        post(with_login(rest))
        for rest in (
            b'"a": NaN',
            b'"a": Infinity',
            b'"a": -Infinity',
            b'"a": 1e400',
            b'"a": -1e400',
            b'"a": ' + b"9" * 1001,
            b'"a": ' + b"9" * 60_000,
            b'"a": 0.' + b"1" * 1000,
            b'"a": 1e' + b"9" * 60_000,
            b'"a": 01',
            b'"a": 0x1',
            b'"a": +1',
            b'"a": 1_000',
            b'"a": .5',
            b'"a": True',
            b'"a": undefined',
            b'"a": "\\x41"',
            b'"a": "\\u00"',
            b'"a": "\xff"',
            b'"a": "\xc0\x80"',
            b'"a": "\xf4\x90\x80\x80"',
            b'"a": ' + b"[" * 64 + b"]" * 64,
            b'"a": ' + b"[" * 30_000 + b"]" * 30_000,
            b'"a": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000,
            b'"a": 1,',
            b'"a": 1 /* h0stile */',
            b'"a"; 1',
            b"a: 1",
            b'"password": "h0stile"',
            b'"pass\\u0077ord": "h0stile"',
            b'"username": "h0stile"',
            b'"type": "a", "type": "b"',
            b'"type": "firmwareList", "type": null',
            b'"accountName": "0242078689-00001", "accountName": "0000000000-00009"',
            b'"accountName": "0000000000-00009", "accountName": "0242078689-00001"',
        )
    ),
)
SHAPES = rows(
    "shape",
    400,
    *(
        post(message(**members))
        for members in (
            {"type": "firmwareList", "firmwareList": MARK},
            {"type": "firmwareList", "firmwareList": [MARK]},
            {"type": "firmwareList", "firmwareList": {"a": []}},
            {"type": "firmwareList", "firmwareList": [[[]]]},
            {"type": "upgradeScheduled", "upgradeScheduled": []},
            {"type": "upgradeProgress", "upgradeProgress": MARK},
            {"type": "upgradeProgress", "upgradeProgress": {}, "firmwareList": 1},
            {"type": "upgradeFinished", "upgradeFinished": [{}]},
            {"type": "upgradeFinished", "upgradeFinished": False},
        )
    ),
)
CREDENTIALS = rows(
    "credentials",
    401,
    post(b"{}"),
    post(b'{"type": "h0stile"}'),
    *(
        post(json.dumps(members).encode())
        for members in (
            {"username": "listener"},
            {"password": LOGIN["password"]},
            {"username": LOGIN["password"], "password": LOGIN["username"]},
            {"username": "listener", "password": "h0stile"},
            {"username": "Listener", "password": LOGIN["password"]},
            {"username": "listener ", "password": LOGIN["password"]},
            {"username": "listener\x00", "password": LOGIN["password"]},
            {"Username": "listener", "Password": LOGIN["password"]},
            {"username": ["listener"], "password": [LOGIN["password"]]},
            {"username": "listener", "password": {"$ne": None}},
            {"username": "listener", "password": True},
            {"username": "listener", "password": 0},
            {"username": "listener", "password": None},
            {"username": "listener", "password": ""},
            {"username": "listener", "password": "' OR '1'='1"},
            {"username": "listener", "password": LOGIN["password"][:-1]},
            {"username": "listener", "password": LOGIN["password"] + "x"},
            {"username": "listener", "password": LOGIN["password"].upper()},
            {"username": "listener", "password": "x" * 60_000},
            {"username": "listener", "password": "\uff50" + LOGIN["password"][1:]},
            {"username": "", "password": ""},
            {"login": LOGIN},
            {"__proto__": LOGIN},
            {"constructor": {"prototype": LOGIN}},
            {"pa\u017f\u017fword": LOGIN["password"], "u\u017fername": "listener"},
        )
    ),
)
ACCOUNTS = rows(
    "account",
    403,
    *(
        post(message(accountName=name))
        for name in (
            "0000000000-00009",
            "242078689-00001",
            f"{ACCOUNT} ",
            f"{ACCOUNT}\x00",
            ACCOUNT.replace("0", "\uff10"),
            [ACCOUNT],
            {"a": ACCOUNT},
            242078689,
            True,
            "h0stile" * 1000,
        )
    ),
)
CHUNKED_GOOD = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
NOWHERE = post(b"{}", path="/h0stile")
SMUGGLED = b"POST /h0stile HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
PIPELINES = [
    Row("garbage after a request", NOWHERE + b"h0stile\r\n\r\n", (404, 400)),
    Row("a body longer than announced", NOWHERE + GOOD + b"\r\n\r\n", (404, 400)),
    Row("fifty at once", NOWHERE * 50, (404,) * 50),
    Row("a request in a body", post(SMUGGLED), (400,)),
    Row("a request in a body elsewhere", post(SMUGGLED, path="/h0stile"), (404,)),
    Row("a request in a chunk", chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), (400,)),
    Row("a request after both framings", head(f"POST {PATH} HTTP/1.1", LISTED, "Content-Length: 4",
        "Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED, (400,)),
    Row("a request after chunks", chunked(CHUNKED_GOOD + SMUGGLED, "X-Forwarded-For: h"), (403,)),
    Row("a request after chunks that are read", chunked(b"2\r\n{}\r\n0\r\n\r\n" + SMUGGLED), (401, 404)),
    Row("a request after trailers", chunked(b"2\r\n{}\r\n0\r\nX: y\r\n\r\n" + SMUGGLED), (401, 404)),
    Row("a request in an upgraded one", post(SMUGGLED, "Upgrade: h2c", "Connection: Upgrade"), (400,)),
    Row("a request after an upgraded one", post(b"{}", "Upgrade: h2c", "Connection: Upgrade") + SMUGGLED,
        (401, 404)),
    Row("a request after a broken chunk", chunked(b"zz\r\n" + SMUGGLED), (400,)),
    Row("a request after a CONNECT", line("CONNECT h:1 HTTP/1.1") + SMUGGLED, (404,)),
    Row("a request after the last", head("POST /h0stile HTTP/1.1", "Connection: close",
        "Content-Length: 0") + SMUGGLED, (404,)),
    Row("a request after the last of HTTP/1.0", b"GET / HTTP/1.0\r\n\r\n" + SMUGGLED, (404,)),
    Row("a body that nobody wants", head("POST /h0stile HTTP/1.1", f"Content-Length: {LIMIT}")
        + b"x" * LIMIT, (404,)),
]  # fmt: skip
EVERY = [
    *REQUEST_LINES,
    *UNFINISHED,
    *METHODS,
    *PATHS,
    *HEADERS,
    *SIZES,
    *CHUNKS,
    *SOURCES,
    *ENCODINGS,
    *NOT_JSON,
    *SHAPES,
    *CREDENTIALS,
    *ACCOUNTS,
    *PIPELINES,
]

# Odd, but right: to refuse these would lose messages and gain nothing.
ODD = rows(
    "odd",
    200,
    post(),
    b"\r\n" + post(),
    post(path=f"{PATH}?{MARK}=1"),
    post(path=PATH.replace("c", "%63")),
    post(path=PATH.replace("-", "%2d")),
    post(path=PATH.replace("-", "%2D")),
    post(path="".join(f"%{ord(letter):02x}" if letter != "/" else letter for letter in PATH)),
    post(path=f"{PATH}/"),
    post(path=f"{PATH}/?{MARK}=1"),
    post(path=f"http://{MARK}{PATH}"),
    head(f"POST {PATH} HTTP/1.0", LISTED, f"Content-Length: {len(GOOD)}") + GOOD,
    head(f"POST {PATH} HTTP/1.1", LISTED, f"Content-Length: 0{len(GOOD)}") + GOOD,
    head(f"POST {PATH} HTTP/1.1", LISTED, f"Content-Length: {'0' * 5000}{len(GOOD)}") + GOOD,
    post(GOOD, "Content-Type: text/html"),
    post(GOOD, "Content-Encoding: identity"),
    post(GOOD, "SCRIPT_NAME: /cb", "PATH_INFO: /x", "Content_Length: 1"),
    post(GOOD, "Upgrade: h2c", "Connection: Upgrade"),
    chunked(CHUNKED_GOOD, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings"),
    post(GOOD, "X-Forwarded-Proto: h0stile", "X-Forwarded-Protocol: ssl"),
    post(source="X-Forwarded-For: 198.51.100.1, [::ffff:192.0.2.7]:443"),
    post(source="X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For:  192.0.2.7\t"),
    chunked(CHUNKED_GOOD),
    chunked(b"%x;%s=1\r\n" % (len(GOOD), MARK.encode()) + CHUNKED_GOOD.partition(b"\r\n")[2]),
    chunked(CHUNKED_GOOD[:-2] + b"X-Forwarded-For: 198.51.100.1\r\n\r\n"),
    chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\n\r\n"),
    post(b"\xef\xbb\xbf" + GOOD),
    post(b"\xef\xbb\xbf" * 2 + GOOD),
    post(GOOD + b"\x00"),
    *(
        post(GOOD.decode().encode(name), f"Content-Type: application/json; charset={label}")
        for name, label in (
            *((name, name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1")),
            ("utf-16", "utf-8"),
            ("utf-8", "utf-16"),
            ("utf-8", "zip"),
            ("utf-32-be", "x"),
        )
    ),
    post(b" \r\n\t" + GOOD + b" " * 100),
    post(GOOD.replace(b"password", b"p\\u0061ssword")),
)
# Messages of their own, each with a text that only a lenient reader reads.
LENIENT = rows(
    "lenient",
    200,
    post(with_login(b'"a": "\xe9"'), "Content-Type: application/json; charset=ISO-8859-1"),
    *(
        post(with_login(rest))
        for rest in (
            b'"a": "\\ud800"',
            b'"a": "\\udfff\\ud800"',
            b'"\\ud800": 1',
            b'"a": "\x00"',
            b'"a": "\n"',
            b'"a": "\xed\xa0\x80"',
        )
    ),
)
