"""Who may send: path and token, source address, credentials in the body, account. Pure."""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from listener.errors import (
    CredentialsMissingError,
    CredentialsWrongError,
    NotFoundError,
    SourceRefusedError,
)
from listener.settings.settings import Settings

# The longest text form of an IPv6 address has 45 characters, besides a zone and a port.
LONGEST_ADDRESS = 128
# Compared digests never leave the process, so a prefixed key is enough, and costs a third of HMAC. Not
# BLAKE2: a Python in FIPS mode refuses it.
KEYED = hashlib.sha256(secrets.token_bytes(32))


def matching(given: str, *expected: str) -> int | None:
    """Which of some texts another one equals, in a time that does not tell which or how much.

    Digests are compared, so that not even the length of what is expected shows.
    """
    digest = _digest(given)
    found = None
    for place, text in enumerate(expected):
        # All are compared, whichever it is.
        equal = hmac.compare_digest(digest, _digest_of_ours(text))
        found = place if equal and found is None else found
    return found


def check_path(path: str, settings: Settings) -> bool:
    """Checks that a path, decoded, is one at which messages are accepted, token included.

    One slash more or less at the end is the same path. Everything else is another one: doubled
    slashes, dot segments, parameters behind a semicolon, another letter case.

    Returns:
        Whether it holds CALLBACK_TOKEN_PREVIOUS.

    Raises:
        RefusalError: `not-found`, for a wrong token as for any other path.
    """
    accepted = [accepted.removesuffix("/") for accepted in settings.callback_paths]
    found = matching(path.removesuffix("/"), *accepted)
    if found is None:
        raise NotFoundError
    return found > 0


def check_source(remote: str | None, forwarded_for: Sequence[str], settings: Settings) -> None:
    """Checks the sender's address where a source filter is set.

    Args:
        remote: the address of the peer of the connection.
        forwarded_for: the addresses in X-Forwarded-For, in the order of the header.
        settings: with the networks, and how many proxies to trust.

    Raises:
        RefusalError: `source-refused`.
    """
    if settings.callback_sources is None:
        return
    address = client_address(remote, forwarded_for, settings.trusted_proxies)
    if address is None or not any(address in network for network in settings.callback_sources):
        # The address is what an operator needs who has set TRUSTED_PROXIES wrongly.
        raise SourceRefusedError(f"address {address or 'unknown'}")


def client_address(
    remote: str | None, forwarded_for: Sequence[str], trusted_proxies: int
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of the client, or None if it cannot be told.

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


def check_credentials(payload: Mapping[str, Any], settings: Settings) -> bool:
    """Checks the credentials in the body where some are set.

    ThingSpace v1 sends back, inside every message, what was registered [doc], and for some minutes
    after a change what was registered before [seen]: the previous password passes as well.

    Returns:
        Whether it was CALLBACK_PASSWORD_PREVIOUS.

    Raises:
        RefusalError: `credentials-missing` or `credentials-wrong`.
    """
    if settings.callback_username is None or settings.callback_password is None:
        return False
    # Elements that do not apply are sent empty [doc]: an empty text is as good as none.
    given = [payload.get(name) or None for name in ("username", "password")]
    if given == [None, None] and settings.credentials_may_be_missing:
        return False
    if None in given:
        raise CredentialsMissingError
    username, password = (text if isinstance(text, str) else "" for text in given)
    passwords = (settings.callback_password, settings.callback_password_previous)
    # Both are compared whatever the first comparison says, so that time tells nothing.
    named = matching(username, settings.callback_username)
    found = matching(password, *(secret.reveal() for secret in passwords if secret))
    if named is None or found is None:
        raise CredentialsWrongError
    return found > 0


def holds_password(values: Iterable[str], settings: Settings) -> bool:
    """Whether one of some texts is a password that proves the sender.

    All are compared, whichever it is, so that the time shows nothing of the passwords.
    """
    passwords = (settings.callback_password, settings.callback_password_previous)
    expected = [_digest_of_ours(secret.reveal()) for secret in passwords if secret]
    found = False
    for value in values:
        digest = _digest(value)
        for ours in expected:
            found |= hmac.compare_digest(digest, ours)
    return found


def _digest(text: str) -> bytes:
    keyed = KEYED.copy()
    keyed.update(text.encode("utf-8", errors="surrogatepass"))
    return keyed.digest()


@lru_cache(maxsize=64)
def _digest_of_ours(text: str) -> bytes:
    """Of what is expected: a few texts of the settings, never one that a sender wrote."""
    return _digest(text)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if len(text) > LONGEST_ADDRESS:
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
