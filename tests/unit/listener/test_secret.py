"""Keys from guessable secrets, also where OpenSSL has no scrypt."""

import hashlib
from typing import Any

import pytest

from listener.callback import ownership_probe
from listener.settings.secret import derive_key
from listener.settings.settings import Settings


def refuse(*_: Any, **__: Any) -> bytes:
    raise ValueError("[digital envelope routines] unsupported")


def test_key_is_the_one_that_earlier_versions_made() -> None:
    expected = hashlib.scrypt(b"secret", salt=b"salt", n=2**14, r=8, p=1, dklen=16)
    assert derive_key(b"secret", salt=b"salt", length=16) == expected


def test_key_without_scrypt_depends_on_secret_salt_and_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hashlib, "scrypt", refuse)
    key = derive_key(b"secret", salt=b"salt", length=16)
    assert len(key) == 16
    assert derive_key(b"secret", salt=b"salt", length=16) == key
    assert derive_key(b"secret", salt=b"other", length=16) != key
    assert derive_key(b"other", salt=b"salt", length=16) != key
    monkeypatch.delattr(hashlib, "scrypt")
    assert derive_key(b"secret", salt=b"salt", length=16) == key


def test_probe_is_answered_where_scrypt_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashlib, "scrypt", refuse)
    ownership_probe._key.cache_clear()
    try:
        answer = ownership_probe.answer("nonce", Settings.from_env({"ALLOW_ANY_SENDER": "true"}))
    finally:
        ownership_probe._key.cache_clear()
    assert len(answer) == 64
