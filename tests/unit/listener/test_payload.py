"""From bytes to a payload: within which limits, and that what is checked is what is kept."""

import bz2
import codecs
import gc
import gzip
import json
import lzma
import sys
import time
import zlib
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.errors import RefusalError
from listener.messages import decoding, json_reader, payload
from listener.messages.kinds import ENVELOPE_NAMES


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


@pytest.mark.parametrize("name", ["type", "accountName", "username", "password"])
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
        '{"a": "ü"}'.encode("latin-1"),
        b'{"a": "\xc0\xaf"}',
        b"\x00{}",
        b'\x00{"a": 1}',
        b"{}{}",
        b"X{}",
        b"{}X",
        b'{"a": 1}\xff',
        b'{"a": "\xff"}',
        b'{"a": "\xf4\x90\x80\x80"}',
        b'\xff\xfe{"a": 1}',
        '\ufeff{"a": "ü'.encode("utf-16"),
        b"{\x0c}",
        '{\xa0"a": 1}'.encode(),
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
        b'{"a": "\\x41"}',
        b'{"a": "\\u12"}',
        b'{"a": tru}',
        b'{"a" 1}',
        b'{"a": -1e999}',
    ],
)
def test_what_only_some_readers_would_read_is_refused(body: bytes) -> None:
    assert refused(body) == "not-json"


ODD = {"a": "Grüße 💩", "b": [1, {"ü": None}]}


@pytest.mark.parametrize("before", ["", "\ufeff", "\ufeff\ufeff", " \r\n\t"])
@pytest.mark.parametrize("after", ["", "\0", "\0\0\n", " \r\n\t"])
@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"],
)
def test_utf_is_read_in_every_width_with_and_without_a_byte_order_mark(
    encoding: str, before: str, after: str
) -> None:
    for content in (ODD, {"a": [1, "ascii"]}):
        body = (before + json.dumps(content, ensure_ascii=False) + after).encode(encoding)
        assert payload.parse(body) == content
        assert payload.parse(body, "application/json; charset=iso-8859-1") == content


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-8859-1", "é\xa0ÿ"),
        ("ISO-8859-1", "é"),
        ("latin1", "é"),
        ('"windows-1252"', "€ “é”"),
        ("'Windows-1252'", "€"),
        ("windows-1251", "Привет"),
        ("iso-8859-15", "€"),
        ("koi8-r", "Привет"),
        ("Shift_JIS", "更新"),
        ("gb18030", "更新€"),
        ("big5", "更新"),
        ("euc-kr", "안녕"),
    ],
)
def test_charset_that_is_named_is_read(charset: str, text: str) -> None:
    body = json.dumps({"a": text}, ensure_ascii=False).encode(charset.strip("\"'"))
    for content_type in (
        f"application/json; charset={charset}",
        f"text/plain;x=y;CHARSET = {charset};y=z",
    ):
        assert payload.parse(body, content_type) == {"a": text}
    assert refused(body) == "not-json"


LETTERS = {
    "latin_1": "é",
    **{f"iso8859_{part}": letter for part, letter in zip(range(2, 12), "łħĸЖعΩאğŋก", strict=True)},
    **{f"iso8859_{part}": letter for part, letter in zip(range(13, 17), "ųḃ€ș", strict=True)},
    **{f"cp{page}": letter for page, letter in zip(range(1250, 1259), "łЖ€Ωğאعųơ", strict=True)},
    "cp866": "Ж",
    "cp874": "ก",
    "cp932": "更",
    "cp949": "안",
    "koi8_r": "Ж",
    "koi8_u": "ґ",
    "mac_roman": "é",
    "mac_cyrillic": "Ж",
    "gbk": "更",
    "gb2312": "更",
    "gb18030": "€",
    "big5": "更",
    "shift_jis": "更",
    "euc_jp": "更",
    "euc_kr": "안",
}


@pytest.mark.parametrize(("charset", "letter"), LETTERS.items())
def test_every_charset_is_read_by_its_name(charset: str, letter: str) -> None:
    body = json.dumps({"a": letter}, ensure_ascii=False).encode(charset)
    for name in (charset, charset.replace("_", "-").upper()):
        assert payload.parse(body, f"application/json; charset={name}") == {"a": letter}


@pytest.mark.parametrize(
    "charset",
    [
        *("zip", "zlib", "rot13", "hex", "base64", "bz2", "uu", "quopri", "idna", "punycode"),
        *("unicode_escape", "raw_unicode_escape", "undefined", "utf-7", "mbcs", "oem", "charmap"),
        *("cp1249", "cp1259", "iso8859_12", "iso8859_17", "iso2022_jp", "hz", "cp037"),
        *("no-such-charset", "x" * 5000, "", '"', "..", "os", "utf-8\x00"),
    ],
)
def test_codec_that_is_no_charset_is_as_good_as_none(charset: str) -> None:
    content_type = f"application/json; charset={charset}"
    assert payload.parse('{"a": "ü"}'.encode(), content_type) == {"a": "ü"}
    assert payload.parse(b'{"a": "\\u0041\\n"}', content_type) == {"a": "A\n"}
    with pytest.raises(RefusalError):
        payload.parse(b'{"a": "\xe9"}', content_type)
    with pytest.raises(RefusalError):
        payload.parse(zlib.compress(b'{"a": 1}'), content_type)


def test_utf_8_with_a_wrong_label_is_still_utf_8() -> None:
    body = '{"a": "ü€"}'.encode()
    for charset in ("iso-8859-1", "us-ascii", "utf-16", "windows-1252", "gbk"):
        assert payload.parse(body, f"application/json; charset={charset}") == {"a": "ü€"}


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x85, 0x2028])
def test_control_character_in_a_text_is_the_same_raw_as_escaped(code: int) -> None:
    raw = b'{"a": "x' + chr(code).encode() + b'y"}'
    escaped = b'{"a": "x\\u%04xy"}' % code
    assert payload.parse(raw) == payload.parse(escaped) == {"a": f"x{chr(code)}y"}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"\uDFFF!", "\ufffd!"),
        (rb"\ud800\ud800", "\ufffd\ufffd"),
        (rb"\udc00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\udca9", "💩"),
        (rb"\ud83d\ud83d\udca9", "\ufffd💩"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\\ud800", "\\ud800"),
        (rb"\\\ud800", "\\\ufffd"),
        (rb"\\ud83d\udca9", "\\ud83d\ufffd"),
        (rb"\\\\\ud800\\", "\\\\\ufffd\\"),
        (rb"\ud83d\\udca9", "\ufffd\\udca9"),
        (rb"\ud83d\udca9\udca9\ud83d", "💩\ufffd\ufffd"),
        (rb"\uD83D\uDCA9\uDBff\ue000\ud7ff", "💩\ufffd\ue000\ud7ff"),
        (b"\xed\xa0\x80", "\ufffd"),
        (b"\xed\xb2\xa9x", "\ufffdx"),
        (b"\xed\xa0\xbd\xed\xb2\xa9", "💩"),
        (b"\xed\xa0\xbd" + rb"\udca9", "\ufffd\ufffd"),
    ],
)
def test_half_a_surrogate_becomes_the_replacement_character(text: bytes, read: str) -> None:
    found = payload.parse(b'{"a": "' + text + b'"}')
    assert found == {"a": read}
    assert json.loads(payload.serialize(found)) == found
    assert payload.parse(b'{"' + text + b'": 1}') == {read: 1}


def test_escapes_of_ordinary_letters_are_left_to_the_json_decoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Without a pattern to search for, whatever looked for half pairs would fail.
    monkeypatch.setattr(decoding, "_ESCAPED_LONE_SURROGATE", None)
    for text in ("Привет", "é\u0000€", "\ue000", "\\u0041"):
        assert payload.parse(json.dumps({"a": text}).encode()) == {"a": text}
    with pytest.raises(AttributeError):
        payload.parse(rb'{"a": "\ud800"}')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_half_a_surrogate_in_wide_characters_becomes_the_replacement_character(
    encoding: str,
) -> None:
    for half in ("\ud800", "\udc00x"):
        body = f'{{"a": "{half}"}}'.encode(encoding, "surrogatepass")
        assert payload.parse(body) == {"a": "\ufffd" + half[1:]}


def test_wide_characters_that_break_off_are_a_decoding_error() -> None:
    for text in ('["a', '["\ud800'):
        with pytest.raises(UnicodeDecodeError):
            decoding.decode(text.encode("utf-16", "surrogatepass")[:-1])


def test_charset_that_is_named_and_wrong_is_not_replaced_by_a_guess() -> None:
    with pytest.raises(RefusalError):
        payload.parse(b'{"a": "\xed\xa0\x80"}', "application/json; charset=euc-kr")


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
        (zlib.compress(b"{}", 1), ""),
        (zlib.compress(b"{}", 3), ""),
        (bz2.compress(b"{}"), ""),
        (lzma.compress(b"{}"), ""),
        (b"PK\x03\x04", ""),
        (b"\x28\xb5\x2f\xfd", ""),
    ],
)
def test_compressed_bodies_are_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(RefusalError) as caught:
        payload.check_encoding(body, encoding)
    assert caught.value.reason == "compressed"


@pytest.mark.parametrize("encoding", ["", "identity", "Identity ", ","])
def test_plain_body_is_accepted_unless_its_transfer_coding_compresses(encoding: str) -> None:
    payload.check_encoding(b"{}", encoding, "Chunked")
    with pytest.raises(RefusalError):
        payload.check_encoding(b"{}", encoding, "gzip, chunked")


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join([b'"type":1'] * 300_000) + b"}",
        b'{"type":[' + b",".join([b"0"] * 500_000) + b"]" + b',"type":1' * 200_000 + b"}",
        b'{"a":[' + b",".join([b"[]"] * 1_000_000) + b"]}",
        b'{"a":' + b"[" * 2_000_000,
        b'{"a":"' + b"\\u0000" * 600_000 + b'"}',
        b'{"a":[' + b",".join([b"9" * 1000] * 4000) + b"]}",
        b'{"a":"' + b"\\ud800" * 600_000 + b'"}',
        b'{"a":"' + b"\\ud83d\\udca9" * 300_000 + b'"}',
        b'{"a":"' + b"\\" * 4_000_000 + b'\\ud800"}',
        b'{"a":"' + b"\xed\xa0\x80" * 1_300_000 + b'"}',
        b"{\0" * 1_300_000,
    ],
    ids=[
        *("one name", "one name, last long", "empty lists", "openings", "escapes", "numbers"),
        *("surrogates", "pairs", "backslashes", "raw surrogates", "wide"),
    ],
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


def calls_of_python(body: bytes) -> int:
    """How many functions in Python are called while a body is parsed."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal calls
        calls += event == "call"

    # A test library may have itself called at each collection.
    gc.disable()
    sys.setprofile(count)
    try:
        payload.parse(body)
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


@pytest.mark.parametrize(
    "unit",
    [b"[],", b"[" * 60 + b"]" * 60 + b",", b"1,", b"9" * 490 + b",", b'"\\"[",', b"null,"],
    ids=["lists", "deep lists", "numbers", "long numbers", "texts", "nulls"],
)
def test_what_is_read_of_a_long_list_costs_no_call_for_each_of_its_items(unit: bytes) -> None:
    few, many = (b'{"a":[' + unit * items + b"1]}" for items in (500, 5000))
    # One for each half a thousand characters is made to look for long numbers.
    assert calls_of_python(many) - calls_of_python(few) <= len(many) / 500 + 10


@pytest.mark.parametrize("handler", ["surrogatepass", "replace"])
@pytest.mark.parametrize(
    "body",
    [
        b"\xed\xa0\x80" * 1000,
        b"\xed\xb0\x80a" * 1000,
        b"\xed\xa0\xbd\xed\xb2\xa9\xee\xa0\x80\xef\xa0\x80" * 1000,
        b"\xff\xfe" + b"\x00\xd8" * 1000,
        b"\xfe\xff" + b"\xdc\x00" * 1000,
        b"{\0" + b"\x00\xdc" * 1000,
    ],
    ids=["first halves", "second halves", "pairs", "UTF-16", "UTF-16-BE", "UTF-16, no mark"],
)
def test_halves_of_surrogate_pairs_are_decoded_without_a_call_for_each(
    body: bytes, handler: str
) -> None:
    original, calls = codecs.lookup_error(handler), 0

    def count(error: UnicodeError) -> tuple[str | bytes, int]:
        nonlocal calls
        calls += 1
        return original(error)

    codecs.register_error(handler, count)
    try:
        text = decoding.decode_raw(body)
    finally:
        codecs.register_error(handler, original)
    assert calls == 0
    slow = body.decode(json.detect_encoding(body), "surrogatepass").lstrip("\ufeff")
    assert text == slow.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(st.text())
def test_halves_of_surrogate_pairs_change_nothing_else(text: str) -> None:
    for encoding in ("utf-8", "utf-16", "utf-32"):
        body = f'{{"a":{text}\ud800}}'.encode(encoding, "surrogatepass")
        assert decoding.decode_raw(body) == f'{{"a":{text}\ufffd}}'


@pytest.mark.parametrize("before", [b"", b'"x":[[[[[{}]]]]],'])
@pytest.mark.parametrize("text", [b"", b"[", b'\\"[[{', b"\\\\", b"]]\n}"])
def test_the_depth_is_that_outside_of_texts(before: bytes, text: bytes) -> None:
    inner = b"[" * 62 + b'"' + text + b'"' + b"]" * 62
    payload.parse(b"{" + before + b'"a":[' + inner + b',"["]}')
    with pytest.raises(RefusalError):
        payload.parse(b"{" + before + b'"a":[[' + inner + b',"["]]}')


def test_a_number_is_too_long_wherever_it_stands() -> None:
    for shift in range(0, 1002, 167):
        start = b'{"a":"' + b"x" * shift + b'","n":'
        payload.parse(start + b"9" * 1000 + b"}")
        for number in (b"9" * 1001, b"-" + b"9" * 1000, b"0." + b"1" * 999):
            with pytest.raises(RefusalError):
                payload.parse(start + number + b"}")


def test_reader_is_used_again_and_keeps_nothing_of_the_text_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_reader, "_idle_readers", [])
    assert json_reader.read("[1]") == ([1], [])
    monkeypatch.delattr(json_reader, "_Reader")
    assert json_reader.read('{"a": 1, "a": 2}') == ({"a": 2}, [("a", 1), ("a", 2)])
    assert json_reader.read("[]") == ([], [])


NAMES = st.text(st.characters(codec="utf-8"))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner), max_leaves=10
)


@given(st.dictionaries(NAMES, VALUES), st.booleans())
def test_json_is_written_as_the_standard_library_writes_it(
    content: dict[str, Any], canonical: bool
) -> None:
    body = json.dumps(content).encode()
    standard = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=canonical)
    assert payload.serialize(payload.parse(body), canonical=canonical) == (
        standard.encode(json.loads(body)).encode()
    )


def test_content_that_is_too_deep_to_be_written_is_refused() -> None:
    content: dict[str, Any] = {"a": 10**30}
    # Python 3.11 gives up at 1000 levels, 3.13 at 10000, and 3.14 where the stack ends.
    for _ in range(200_000):
        content = {"a": content}
    with pytest.raises(RefusalError) as caught:
        payload.serialize(content)
    assert (caught.value.reason, caught.value.detail) == ("not-json", "RecursionError")


def test_counter_beside_every_member_of_the_envelope_is_left_out_of_the_id() -> None:
    envelope = dict.fromkeys(ENVELOPE_NAMES, "")
    assert payload.without_counters({**envelope, "callbackCount": 1}) == envelope
