"""From bytes to a payload: within which limits, and that what is checked is what is kept."""

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import payload
from listener.errors import RefusalError


def refused(body: bytes) -> str:
    with pytest.raises(RefusalError) as caught:
        payload.parse(body)
    return caught.value.reason


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """An object with other containers in it: so many levels in all."""
    return b'{"a":' + opening * (levels - 1) + closing * (levels - 1) + b"}"


def test_nesting_is_read_up_to_64_levels() -> None:
    payload.parse(nested(64))
    payload.parse(b'{"a":' * 63 + b"{}" + b"}" * 63)
    for depth in (65, 100, 900, 1100, 100_000):
        assert refused(nested(depth)) == "not-json"
        assert refused(b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)) == "not-json"


@pytest.mark.parametrize("number", ["9" * 1000, "-" + "9" * 999, "0." + "1" * 998])
def test_numbers_are_read_up_to_a_thousand_characters(number: str) -> None:
    body = f'{{"n": {number}}}'.encode()
    assert payload.parse(body) == {"n": json.loads(number)}
    assert refused(body.replace(b"}", b"1}")) == "not-json"


def test_a_whole_number_keeps_every_digit() -> None:
    digits = "1234567890" * 100
    kept = payload.serialize(payload.parse(f'{{"n":{digits}}}'.encode()))
    assert kept.decode() == f'{{"n":{digits}}}'


@pytest.mark.parametrize("name", payload.DECISIVE)
@pytest.mark.parametrize("pair", [('"a"', '"b"'), ('"a"', "null"), ("1", "true"), ("{}", "[]")])
def test_what_decides_comes_once_or_twice_the_same(name: str, pair: tuple[str, str]) -> None:
    first, last = pair
    for one, other in (pair, (last, first)):
        assert refused(f'{{"{name}": {one}, "x": 1, "{name}": {other}}}'.encode()) == "ambiguous"
    assert payload.parse(f'{{"{name}": {last}, "{name}": {last}}}'.encode()) == {
        name: json.loads(last)
    }


def test_a_name_is_the_same_however_it_is_escaped() -> None:
    assert refused(b'{"password": "right", "pass\\u0077ord": "wrong"}') == "ambiguous"


def test_of_other_names_the_last_value_counts_for_every_reader() -> None:
    body = b'{"a": 1, "type": "t", "in": {"type": 1, "type": 2}, "a": 2}'
    found = payload.parse(body)
    assert found == {"a": 2, "type": "t", "in": {"type": 2}}
    assert payload.serialize(found).count(b'"a"') == 1


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "userName",
        "pas\u017fword",
        "pa\u017f\u017fword",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44",
        " password ",
        "u\u017fername",
        "\u3000 \uff30a\u017f\u017fword" + "\xa0" * 100,
    ],
)
def test_credentials_go_by_whatever_name_means_the_same(name: str) -> None:
    left = payload.without_credentials({name: "secret-value", "other": 1})
    assert left == {"other": 1}


def test_no_name_of_4_mib_takes_long() -> None:
    # Marks out of order, which normalizing puts in order one by one: a hundred thousand took 25 s.
    name = "p" + "\u0315" * 1_000_000 + "\u0316" * 1_000_000
    begun = time.process_time()
    assert payload.without_credentials({name: 1}) == {name: 1}
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("name", ["passwords", "pass word", "user_name", "пassword", ""])
def test_what_only_resembles_them_stays(name: str) -> None:
    assert payload.without_credentials({name: 1}) == {name: 1}


@pytest.mark.parametrize(
    "body",
    [
        '{"a": "ü"}'.encode("utf-16"),
        '{"a": "ü"}'.encode("utf-16-le"),
        '{"a": "ü"}'.encode("utf-32"),
        '{"a": "ü"}'.encode("latin-1"),
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\\udc00"}',
        b'{"\\ud800": 1}',
        b'{"a": "\x00"}',
        b"\x00{}",
        b'{"a": 1}\x00',
        b'{"a": Infinity}',
        b'{"a": 0x10}',
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 1.}',
        b"{'a': 1}",
        b"{a: 1}",
        b'{"a": 1,}',
        b'{"a": 1} {"b": 2}',
        b'{"a": 1} // comment',
        b'{"a": "line\nbreak"}',
        b'{"a": "\\x41"}',
        b'{"a": "\\u12"}',
        b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}',
        b'{"a": tru}',
        b'{"a" 1}',
        b'{"a": -1e999}',
    ],
)
def test_what_only_some_readers_would_read_is_refused(body: bytes) -> None:
    assert refused(body) == "not-json"


def test_a_nul_that_is_escaped_is_kept() -> None:
    assert payload.parse(b'{"a": "x\\u0000y"}') == {"a": "x\x00y"}


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", "gzip"),
        (b"{}", " GZIP "),
        (b"{}", "identity, br"),
        (b"{}", "x"),
        (gzip.compress(b"{}", mtime=0), ""),
        (zlib.compress(b"{}"), ""),
        (zlib.compress(b"{}", 9), ""),
        (b"\x28\xb5\x2f\xfd", ""),
    ],
)
def test_compressed_bodies_are_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(RefusalError) as caught:
        payload.check_encoding(body, encoding)
    assert caught.value.reason == "compressed"


@pytest.mark.parametrize("encoding", ["", "identity", "Identity ", ","])
def test_plain_bodies_are_not(encoding: str) -> None:
    payload.check_encoding(b"{}", encoding, "Chunked")


def test_a_transfer_coding_that_compresses_is_refused_as_well() -> None:
    with pytest.raises(RefusalError):
        payload.check_encoding(b"{}", "", "gzip, chunked")


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join([b'"type":1'] * 300_000) + b"}",
        b'{"type":[' + b",".join([b"0"] * 500_000) + b"]" + b',"type":1' * 200_000 + b"}",
        b'{"a":[' + b",".join([b"[]"] * 1_000_000) + b"]}",
        b'{"a":' + b"[" * 2_000_000,
        b'{"a":"' + b"\\u0000" * 600_000 + b'"}',
        b'{"a":[' + b",".join([b"9" * 1000] * 4000) + b"]}",
    ],
    ids=["one name", "one name, last long", "empty lists", "openings", "escapes", "numbers"],
)
def test_no_body_of_4_mib_takes_long(body: bytes) -> None:
    # Seconds would be a way to stop a worker; some tenths are what reading so much JSON takes.
    started = time.process_time()
    found: Any = None
    try:
        found = payload.parse(body)
    except RefusalError:
        # Refused or not, it is the time that counts here.
        pass
    assert time.process_time() - started < 10, found is not None


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(st.dictionaries(st.text(), VALUES), st.booleans())
def test_json_is_written_as_the_standard_library_writes_it(
    content: dict[str, Any], canonical: bool
) -> None:
    body = json.dumps(content).encode()
    standard = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=canonical)
    try:
        expected = standard.encode(json.loads(body)).encode()
    except UnicodeEncodeError:
        # A lone surrogate.
        assert refused(body) == "not-json"
    else:
        assert payload.serialize(payload.parse(body), canonical=canonical) == expected
