"""Authenticates the sender of a request step by step: path and token, source address, credentials. Pure."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Literal

from listener.errors import (
    CredentialsMissingError,
    CredentialsWrongError,
    NotFoundError,
    SourceRefusedError,
)
from listener.settings.settings import Settings

# The longest text form of an IPv6 address has 45 characters, besides a zone and a port.
MAX_ADDRESS_LENGTH = 128
# Digests are compared only within this process, so a prefixed key is enough, at a third of the cost of HMAC.
# Not BLAKE2: a Python in FIPS mode refuses it.
KEYED_HASH = hashlib.sha256(secrets.token_bytes(32))


class Generation(Enum):
    """Which value of a secret it is: while a secret is being replaced, the previous one is accepted too."""

    CURRENT = 0
    PREVIOUS = 1


@dataclass(frozen=True, slots=True)
class Authentication:
    """What the sender of a request has proved so far; each step returns a new one.

    `token` and `password` say which generation of the secret the sender has, `source` whether its address is
    among those that are allowed. None and False: not proved, or nothing to prove is configured.
    """

    token: Generation | None = None
    source: bool = False
    password: Generation | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether anything proves that the sender may send; with ALLOW_ANY_SENDER alone, nothing does."""
        return self.source or self.token is not None or self.password is not None

    @property
    def previous_secrets(self) -> Iterator[Literal["token", "password"]]:
        """The names of the secrets for which the sender still uses the previous value."""
        if self.token is Generation.PREVIOUS:
            yield "token"
        if self.password is Generation.PREVIOUS:
            yield "password"


NOT_AUTHENTICATED = Authentication()


def check_path(path: str, settings: Settings) -> Authentication:
    """Checks that a path, decoded, is one at which messages are accepted, token included.

    One slash more or less at the end is the same path. Everything else is another one: doubled
    slashes, dot segments, parameters behind a semicolon, another letter case.

    Raises:
        NotFoundError: for a wrong token as for any other path.
    """
    accepted = [accepted.removesuffix("/") for accepted in settings.callback_paths]
    match = matching(path.removesuffix("/"), *accepted)
    if match is None:
        raise NotFoundError
    return Authentication(token=Generation(match)) if settings.callback_token else NOT_AUTHENTICATED


def check_source(
    authentication: Authentication,
    remote: str | None,
    forwarded_for: Sequence[str],
    settings: Settings,
) -> Authentication:
    """Checks the sender's address where a source filter is set.

    Args:
        authentication: what the sender has proved before.
        remote: the address of the peer of the connection.
        forwarded_for: the addresses in X-Forwarded-For, in the order of the header.
        settings: with the networks, and how many proxies to trust.

    Raises:
        SourceRefusedError: the address is not among the networks, or cannot be known.
    """
    if settings.callback_sources is None:
        return authentication
    address = client_address(remote, forwarded_for, settings.trusted_proxies)
    if address is None or not any(address in network for network in settings.callback_sources):
        # The address is what an operator needs who has set TRUSTED_PROXIES wrongly.
        raise SourceRefusedError(f"address {address or 'unknown'}")
    return Authentication(token=authentication.token, source=True)


def check_credentials(
    authentication: Authentication, payload: Mapping[str, Any], settings: Settings
) -> Authentication:
    """Checks the credentials in the body where some are set.

    ThingSpace v1 sends back, inside every message, what was registered [doc], and for some minutes
    after a change what was registered before [seen]: the previous password passes as well.

    Raises:
        CredentialsMissingError: the username or the password is absent or empty.
        CredentialsWrongError: the username or the password is wrong.
    """
    if settings.callback_username is None or settings.callback_password is None:
        return authentication
    # Elements that do not apply are sent empty [doc]: an empty text is as good as none.
    sent = [payload.get(name) or None for name in ("username", "password")]
    if sent == [None, None] and settings.credentials_may_be_missing:
        return authentication
    if None in sent:
        raise CredentialsMissingError
    username, password = (text if isinstance(text, str) else "" for text in sent)
    # Both are compared whatever the first comparison says, so that the time shows nothing.
    username_match = matching(username, settings.callback_username)
    password_match = matching(password, *_passwords(settings))
    if username_match is None or password_match is None:
        raise CredentialsWrongError
    return Authentication(authentication.token, authentication.source, Generation(password_match))


def password_among(values: Iterable[str], settings: Settings) -> bool:
    """Whether one of some texts is a password that authenticates the sender.

    All are compared, whichever it is, so that the time shows nothing of the passwords.
    """
    expected = [_digest_of_ours(password) for password in _passwords(settings)]
    is_among = False
    for value in values:
        digest = _digest(value)
        for ours in expected:
            is_among |= hmac.compare_digest(digest, ours)
    return is_among


def matching(sent: str, *expected: str) -> int | None:
    """Which of some texts another one equals, in a time that shows neither which nor how much of it.

    Digests are compared, so that not even the length of what is expected shows.
    """
    digest = _digest(sent)
    match = None
    for number, text in enumerate(expected):
        # All are compared, whichever it is.
        equal = hmac.compare_digest(digest, _digest_of_ours(text))
        match = number if equal and match is None else match
    return match


def client_address(
    remote: str | None, forwarded_for: Sequence[str], trusted_proxies: int
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of the client, or None if it cannot be known.

    Each trusted proxy appends the address of its own client, so the sender stands
    `trusted_proxies` entries from the right; what stands left of it anybody can forge. Some proxies
    append the client's port as well. An address that holds only within a zone (`fe80::1%eth0`) is
    nobody's on the internet.
    """
    if trusted_proxies == 0:
        text = remote
    elif trusted_proxies <= len(forwarded_for):
        text = forwarded_for[-trusted_proxies]
    else:
        text = None
    return _address((text or "").strip())


def _passwords(settings: Settings) -> list[str]:
    """The current password and the previous one, as far as they are set."""
    passwords = (settings.callback_password, settings.callback_password_previous)
    return [password.reveal() for password in passwords if password]


def _digest(text: str) -> bytes:
    keyed = KEYED_HASH.copy()
    keyed.update(text.encode("utf-8", errors="surrogatepass"))
    return keyed.digest()


@lru_cache(maxsize=64)
def _digest_of_ours(text: str) -> bytes:
    """Of what is expected: a few texts of the settings, never one that a sender wrote."""
    return _digest(text)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if len(text) > MAX_ADDRESS_LENGTH:
        return None
    if text.startswith("["):
        text, closing, port = text[1:].partition("]")
        if not closing or ":" not in text:
            return None
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    else:
        port = ""
    if port and not (port.isascii() and port.isdigit()):
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address
