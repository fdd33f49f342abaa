"""A secret that is never printed by accident, and keys derived from secrets. Pure."""

import hashlib
from dataclasses import dataclass

# OWASP's parameters for a secret of unknown strength: 16 MiB and some 50 ms, or some 150 ms.
SCRYPT_COST = 2**14
PBKDF2_ROUNDS = 600_000


@dataclass(frozen=True, repr=False)
class Secret:
    """A secret text: `reveal` returns it, `repr` and `str` are `***`."""

    _text: str

    def reveal(self) -> str:
        """The secret itself: for comparing and sending, never for logs, errors or keys."""
        return self._text

    def __repr__(self) -> str:
        """Always `***`, so that the dataclasses that hold a secret can be printed."""
        return "***"

    __str__ = __repr__


def derive_key(secret: bytes, *, salt: bytes, length: int) -> bytes:
    """A key of `length` bytes from a secret that may be guessable: each guess costs the time of a slow hash.

    It is scrypt's, or PBKDF2's where there is no scrypt: a Python whose OpenSSL is in FIPS mode refuses
    scrypt, and some builds lack it. Processes that compare their keys must all have scrypt, or all have none.
    """
    try:
        return hashlib.scrypt(secret, salt=salt, n=SCRYPT_COST, r=8, p=1, dklen=length)
    except (AttributeError, ValueError):
        # FIPS wants at least 16 bytes of salt.
        wide_salt = hashlib.sha256(salt).digest()
        return hashlib.pbkdf2_hmac("sha256", secret, wide_salt, PBKDF2_ROUNDS, length)
