"""Looks for a secret in a body that could not be parsed. Pure.

The work done depends on the body alone, never on the secret: the body is taken apart into texts that
may be values, and keyed digests of them are compared (`auth.holds_password`).
"""

import re
from collections.abc import Iterator
from html import unescape
from itertools import islice
from urllib.parse import unquote_plus

from listener.messages.decoding import decode_raw, without_halves

# Parts of a longer body that are searched: its first and its last characters, and what follows the
# first few members that are named like the password.
SEARCHED_END = 16 * 1024
SEARCHED_MEMBER = 2 * 1024
MOST_MEMBERS = 8
# JSON within JSON within JSON.
MOST_LEVELS = 4
LONGEST_VALUE = 1024
_PASSWORD_NAME = re.compile("(?i)password")
# Quotation marks that no backslash escapes, and then all of them: a text may break off anywhere.
_QUOTES = (re.compile(r'(?<!\\)"'), re.compile(r"""["']"""))
_WORD = re.compile(r"""[^\s"'\\,;:=&<>\[\]{}()]++""")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def possible_values(body: bytes, content_type: str = "") -> set[str]:
    """Texts in a body that may be a member's value, in every form in which JSON, a form or XML has them.

    Of a long body only parts are searched, of each of its possible readings some 48 KiB. Values are at
    most `LONGEST_VALUE` characters long.
    """
    found: set[str] = set()
    for text in _readings(body, content_type):
        for level in _levels(text):
            found.update(value for value in _values(level) if 0 < len(value) <= LONGEST_VALUE)
    return found


def _readings(body: bytes, content_type: str) -> Iterator[str]:
    """The body as text: as it should be read, and as bytes, without the NULs of wide characters."""
    try:
        # The windows are cut first: a long body's escapes would hold up the worker.
        yield without_halves(_searched(decode_raw(body, content_type)))
    except UnicodeDecodeError:
        yield _searched(body.decode(errors="replace"))
        yield _searched(body.decode("latin-1"))
    if 0 in body:
        yield _searched(body.replace(b"\0", b"").decode("latin-1"))


def _searched(text: str) -> str:
    if len(text) <= 2 * SEARCHED_END:
        return text
    members = islice(_PASSWORD_NAME.finditer(text), MOST_MEMBERS)
    parts = [text[found.start() : found.start() + SEARCHED_MEMBER] for found in members]
    return '"'.join([text[:SEARCHED_END], *parts, text[-SEARCHED_END:]])


def _levels(text: str) -> Iterator[str]:
    for _ in range(MOST_LEVELS):
        yield text
        inner = _unescaped(text)
        if inner == text:
            return
        text = inner


def _values(text: str) -> Iterator[str]:
    for quotes in _QUOTES:
        for part in quotes.split(text):
            yield part
            yield _unescaped(part)
            yield part.rstrip("\\")
    for word in _WORD.findall(text):
        yield word
        if "%" in word or "+" in word:
            yield unquote_plus(word)
    if "&" in text:
        for part in re.split("[<>\"']", text):
            yield unescape(part)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    halves = _ESCAPE.sub(_character, text)
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return _SHORT_ESCAPES.get(found[2], found[2])
