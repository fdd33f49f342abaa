"""What is kept of a body that could not be read: never a password."""

import gzip
import html
import json
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.callback.redaction import redact_raw
from listener.settings.secret import Secret


@pytest.mark.parametrize(
    "body",
    [
        b'{"username": "u", "password": "secret-value", ',
        b'{"Password":"secret-value"',
        b'{"password": "secret-value',
        b"password=secret-value&x=1",
        b"{'password': 'secret-value'}",
        b'\xff"password" : "secret-value"}',
        b'["password", {"password":"secret-value"}]',
        b'"{\\"username\\":\\"u\\",\\"password\\":\\"secret-value\\"}"',
        b'{"password": ["a", "secret-value"], ',
        b"<password>secret-value</password>",
        b'{"p\\u0061ssword": "secret-value", ',
        b'"{\\"p\\\\u0061ssword\\": \\"secret-value\\"}',
        b'{"password": {"old": "secret-value"}, ',
        b'{"password": "two\\nlines secret-value", ',
        b'{"password": "two\nlines secret-value", ',
        b'{"password": 1, "password": "secret-value"}',
        '{"pa\u017f\u017fword": "secret-value", '.encode(),
        '{"password": "secret-value", '.encode("utf-16"),
        '{"password": "\\u00fc secret-value", '.encode("utf-32-be"),
        b'{"password": "two\\"secret-value", ',
        b'{"password": "\\\\\\"secret-value", ',
        b'"{\\"password\\": \\"two\\\\\\"secret-value\\", ',
        b'{"password ": "secret-value", ',
    ],
)
def test_a_body_that_cannot_be_read_is_kept_without_its_password(body: bytes) -> None:
    text = redact_raw(body)
    assert "secret-value" not in text
    assert "***" in text


def test_known_secrets_go_wherever_they_stand() -> None:
    secret = 'pass"word'
    bodies = [secret, json.dumps({"p": secret}), json.dumps(json.dumps({"p": secret}))]
    for body in bodies:
        text = redact_raw(body.encode() + b"{", [Secret(secret)])
        assert "word" not in text
        assert "***" in text


def test_a_secret_that_contains_another_goes_whole() -> None:
    secrets = [Secret("horse"), Secret("correct-horse-battery"), Secret("correct")]
    assert redact_raw(b"[correct-horse-battery", secrets) == "[***"


@pytest.mark.parametrize(
    "body", [b'{"x": "a\\/b\\u00E9", ', '{"x": "a/b\u00e9", '.encode(), b'{"x": "a/b\\u00e9", ']
)
def test_a_known_secret_goes_in_each_form_that_json_has_for_it(body: bytes) -> None:
    assert redact_raw(body, [Secret("a/b\u00e9")]) == '{"x": "***", '


@pytest.mark.parametrize("beginning", [b"\x00", b"\x00\x00", b"\xff\xfe", b"\xfe\xff", b"{\x00"])
def test_a_body_that_only_begins_like_utf_16_is_no_place_to_hide(beginning: bytes) -> None:
    # Read as UTF-16 it would be Chinese letters, of which the password could be made again.
    body = beginning + b'{"x": "known-secret", "password": "secret-value", '
    assert redact_raw(body, [Secret("known-secret")]).endswith('{"x": "***", "password": "***", ')


SECRET = 'p"ä/ss €-word'
FORMS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "json": lambda text: json.dumps(text).encode(),
    "json in json": lambda text: json.dumps(json.dumps({"x": text})).encode(),
    "json, twice": lambda text: json.dumps(json.dumps(json.dumps(text))).encode(),
    "escaped slash": lambda text: json.dumps(text).replace("/", "\\/").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "windows-1252": lambda text: text.encode("cp1252"),
    "form": lambda text: quote_plus(text).encode(),
    "form, lower case": lambda text: quote_plus(text).lower().encode(),
    "url": lambda text: quote(text, safe="").encode(),
    "xml": lambda text: html.escape(text).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, "c0rrect-word"])
@pytest.mark.parametrize("content_type", ["", "text/json; charset=windows-1252", "x; charset=gbk"])
def test_no_form_of_a_known_secret_is_kept(form: str, secret: str, content_type: str) -> None:
    inside = FORMS[form](secret)
    bodies = [
        b'{"x": "' + inside + b'", ',
        b"[\xe9 " + inside,
        b"\xff\xfe" + inside,
        "中".encode("utf-16-le") + inside,
        (f"中{secret}" + json.dumps(secret)).encode("utf-16-be"),
        (f"\0{secret}{{").encode("utf-32-le"),
    ]
    for body in bodies:
        text = redact_raw(body, [Secret(secret)], content_type)
        assert "word" not in text.replace("\0", ""), body


def test_a_known_secret_that_no_form_covers_leaves_nothing() -> None:
    every_letter = "".join(f"%{ord(letter):02X}" for letter in "correct-horse")
    assert redact_raw(f"x={every_letter}&y=1".encode(), [Secret("correct-horse")]) == "***"


def test_multi_byte_charset_does_not_hide_a_secret() -> None:
    body = b'{"a": "\x81correct-horse", "b": "\x81\x30'
    text = redact_raw(body, [Secret("correct-horse")], "text/json; charset=gbk")
    assert "horse" not in text


def test_redaction_leaves_the_rest_alone() -> None:
    assert redact_raw(b'{"a": "b", "password": "x", "c": 1') == (
        '{"a": "b", "password": "***", "c": 1'
    )


@given(st.binary(max_size=150), st.binary(max_size=150))
def test_known_secret_is_redacted_between_any_bytes(before: bytes, after: bytes) -> None:
    redacted = redact_raw(before + b"correct-horse" + after, [Secret("correct-horse")])
    assert "correct-horse" not in redacted
    # It can be stored.
    redacted.encode()


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_nothing_is_kept_that_a_password_could_be_unpacked_from(compress: Any) -> None:
    assert redact_raw(compress(b'{"password": "secret-value"}', 0)) == ""


def test_known_secrets_go_when_their_letters_are_escaped() -> None:
    body = b'{"x": "\\u0063orrect-horse", '
    assert redact_raw(body, [Secret("correct-horse")]) == '{"x": "***", '


@pytest.mark.quick_cases(4)
@pytest.mark.parametrize(
    "body",
    [
        b"".join(b"password:" + b"\\" * n + b'"' for n in range(2800)) + b"\n}",
        b"\\" * 4_000_000,
        b"password:" + b"\\" * 2_000_000 + b'"' + b"\\" * 2_000_000,
        b"password" + b" " * 4_000_000,
        b"password" * 500_000,
        b'password:"' * 400_000,
        b'password:"' + b'\\"' * 2_000_000,
        b"password \\ " * 300_000,
        b"password:[" * 400_000,
        b"password:{" * 400_000,
        b"\xff" * 4_000_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_no_body_of_4_mib_takes_long(body: bytes) -> None:
    # Whoever found one that takes minutes could stop a worker with it.
    started = time.process_time()
    redact_raw(body)
    assert time.process_time() - started < 10
