"""A key from a secret that may be guessable, by a function that makes each guess cost. Pure."""

import hashlib

# OWASP's figures for a secret of unknown strength: 16 MiB and some 50 ms, or some 150 ms.
SCRYPT_COST = 2**14
PBKDF2_ROUNDS = 600_000


def derive_key(secret: bytes, *, salt: bytes, length: int) -> bytes:
    """`length` bytes that depend on secret and salt alone: scrypt's, or PBKDF2's where there is no scrypt.

    A Python whose OpenSSL is in FIPS mode refuses scrypt, and some builds lack it. Processes that
    compare their keys must therefore all have scrypt, or all have none.
    """
    try:
        return hashlib.scrypt(secret, salt=salt, n=SCRYPT_COST, r=8, p=1, dklen=length)
    except (AttributeError, ValueError):
        # FIPS wants at least 16 bytes of salt.
        wide_salt = hashlib.sha256(salt).digest()
        return hashlib.pbkdf2_hmac("sha256", secret, wide_salt, PBKDF2_ROUNDS, length)
