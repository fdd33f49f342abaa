"""Whether a body that could not be parsed holds the password, in whatever form."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.callback import auth
from listener.callback.redaction import redact_raw
from listener.messages import decoding, raw_search
from listener.messages.raw_search import possible_values
from listener.settings.secret import Secret
from listener.settings.settings import Settings

PASSWORD = 'c0rrect "hörse" /battery\\\\ €&<;='
SIMPLE = "correct-horse-battery"


def holds(body: bytes, password: str, content_type: str = "") -> bool:
    settings = Settings.from_env(
        {"CALLBACK_USERNAME": "listener", "CALLBACK_PASSWORD": password, "REDIS_URL": "redis://h"}
    )
    return auth.password_among(possible_values(body, content_type), settings)


def message(password: str) -> dict[str, Any]:
    return {"type": "new", "username": "listener", "password": password, "n": [1]}


BODIES: dict[str, Callable[[str], bytes]] = {
    "broken off": lambda text: json.dumps(message(text)).encode()[:-4],
    "broken off after it": lambda text: json.dumps({"password": text}).encode()[:-1],
    "not escaped": lambda text: json.dumps(message(text), ensure_ascii=False).encode()[:-1],
    "two objects": lambda text: json.dumps(message(text)).encode() * 2,
    "a list": lambda text: json.dumps([message(text)]).encode(),
    "json in json": lambda text: json.dumps(json.dumps(message(text))).encode(),
    "json in json in json": lambda text: json.dumps(json.dumps(json.dumps(message(text)))).encode(),
    "escaped slash": lambda text: json.dumps([text]).replace("/", "\\/").encode(),
    "every letter escaped": lambda text: (
        '["' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"]'
    ).encode(),
    "wrong utf-8": lambda text: json.dumps(message(text), ensure_ascii=False).encode() + b"\xff",
    "windows-1252": lambda text: json.dumps(message(text), ensure_ascii=False).encode("cp1252"),
    "utf-16": lambda text: json.dumps(message(text)).encode("utf-16")[:-2],
    "utf-16-be": lambda text: json.dumps(message(text)).encode("utf-16-be")[:-4],
    "utf-32": lambda text: json.dumps([message(text)]).encode("utf-32"),
    "python": lambda text: repr([text]).encode(),
    "form": lambda text: b"username=listener&password=" + quote_plus(text).encode() + b"&n=1",
    "form, lower case": lambda text: b"password=" + quote_plus(text).encode().lower(),
    "xml": lambda text: b"<password>%s</password>" % text.replace("&", "&amp;").encode(),
    "long on both sides": lambda text: (
        b"[" + b"1," * 10**6 + json.dumps(message(text)).encode() + b",1" * 10**6
    ),
    "long": lambda text: b"[" + b"1," * 10**6 + json.dumps(message(text)).encode(),
}


def nested(value: str, levels: int) -> bytes:
    """A text of JSON that holds a text of JSON that holds …, at whose end there is a list."""
    text = json.dumps([value])
    for _ in range(levels - 1):
        text = json.dumps(text)
    return text.encode()


@pytest.mark.parametrize("body", BODIES)
def test_password_is_found_in_every_form(body: str) -> None:
    assert holds(BODIES[body](SIMPLE), SIMPLE)
    named = "text/json; charset=windows-1252" if body == "windows-1252" else ""
    if body not in ("python", "form, lower case", "xml", "wrong utf-8"):
        assert holds(BODIES[body](PASSWORD), PASSWORD, named)
    for other in ("correct-horse-batterx", "correct-horse-batter", "correct", "listene"):
        assert not holds(BODIES[body](SIMPLE), other)
    assert not holds(BODIES[body](SIMPLE[:-1]), SIMPLE)


@pytest.mark.parametrize("escape", [str, str.upper])
def test_password_outside_the_basic_plane_is_found_as_a_pair_of_escapes(
    escape: Callable[[str], str],
) -> None:
    pair = json.dumps("👍").strip('"').replace("\\u", "")
    escaped = f"\\u{escape(pair[:4])}\\u{escape(pair[4:])}"
    body = f'["password-{escaped}-x"'.encode()
    assert holds(body, "password-👍-x")
    assert redact_raw(body, [Secret("password-👍-x")]) in ('["***"', "***")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'["C:\\new folder"', "C:\\new folder"),
        (b'["tab\\tand\\nline\\b\\f\\r"', "tab\tand\nline\b\f\r"),
        (b"<password>fish&amp;chips and more</password>", "fish&chips and more"),
        (b"password=two+words", "two words"),
        (b"password=h%C3%B6rse", "hörse"),
        (b"password='two words'", "two words"),
        (b"\xff" + '"correct-horse"'.encode("utf-16-le"), "correct-horse"),
        ('["hörse"'.encode() + b"\xff", "hörse"),
        ('["hörse"'.encode("latin-1"), "hörse"),
        (nested('"two" words', 4), '"two" words'),
        (nested("two wordsX", 8), "two wordsX"),
        (b"['C:\\new dir\\'", "C:\\new dir\\"),
    ],
    ids=[
        *("backslash", "short escapes", "entity", "plus", "percent", "single quotes"),
        *(
            "wide behind a stray byte",
            "UTF-8 before a stray byte",
            "Latin-1",
            "deep",
            "deeper",
            "backslash at the end",
        ),
    ],
)
def test_value_is_found_in_the_form_that_only_one_way_to_read_it_gives(
    body: bytes, value: str
) -> None:
    assert value in possible_values(body)


def test_value_in_the_middle_of_the_longest_text_that_is_searched_whole_is_found() -> None:
    half = "x" * (raw_search.SEARCHED_END_CHARS - 5)
    text = f'{half}"abcdefgh"{half}'
    assert len(text) == 2 * raw_search.SEARCHED_END_CHARS
    assert "abcdefgh" in possible_values(text.encode())
    assert "abcdefgh" not in possible_values(text.encode() + b"x"), "only the ends are"


def test_value_has_a_largest_length() -> None:
    longest = "x" * raw_search.MAX_VALUE_CHARS
    assert longest in possible_values(f'["{longest}"]'.encode())
    assert possible_values(f'["{longest}x"]'.encode()) & {longest, f"{longest}x"} == set()
    short = possible_values(b'["a", ""]')
    assert "a" in short
    assert "" not in short


def test_work_does_not_depend_on_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr("hmac.compare_digest", compare)
    body = BODIES["broken off"](SIMPLE)
    counts = []
    for password in (SIMPLE, "listener", "x", "x" * 1000):
        compared.clear()
        holds(body, password)
        counts.append(len(compared))
        assert {len(digest) for pair in compared for digest in pair} == {32}
    assert len(set(counts)) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_escapes_of_a_long_body_are_read_in_the_searched_parts_alone(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def replace_lone_surrogates(text: str) -> str:
        sizes.append(len(text))
        return decoding.replace_lone_surrogates(text)

    monkeypatch.setattr(raw_search, "replace_lone_surrogates", replace_lone_surrogates)
    long = "é\\ud800\\u0410" * 100_000
    body = f'["{long}", {{"password": "x\\ud800{SIMPLE}"}}, "{long}"'.encode(encoding)
    assert holds(body, f"x\ufffd{SIMPLE}", "text/json; charset=cp1252")
    most = 2 * raw_search.SEARCHED_END_CHARS + raw_search.MAX_MEMBERS * (
        raw_search.SEARCHED_MEMBER_CHARS + 2
    )
    assert sizes
    assert max(sizes) <= most


@given(st.text(max_size=50), st.binary(max_size=150))
def test_password_is_found_behind_any_text_and_before_any_bytes(before: str, after: bytes) -> None:
    body = f'{before}","password":"{SIMPLE}","'.encode() + after
    assert SIMPLE in possible_values(body)


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(
    "body",
    [
        b'"a",' * 1_000_000,
        b"\\" * 4_000_000,
        b'\\"' * 2_000_000,
        b"&amp;" * 800_000,
        b"\\u005c" * 600_000,
        b'\xff"a\\' * 1_000_000,
        b"\0\xff\"a\\'" * 600_000,
    ],
    ids=lambda body: repr(body[:8]),
)
def test_no_body_of_4_mib_takes_long(body: bytes) -> None:
    begun = time.process_time()
    possible_values(body)
    assert time.process_time() - begun < 2
