"""Who may send: path and token, source address, credentials in the body, account. Pure."""

import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from listener.errors import RefusalError
from listener.messages import account_of
from listener.settings import Settings


def same(given: str, *expected: str) -> bool:
    """Whether a text equals one of some others, in a time that does not tell which or how much."""
    given_bytes = given.encode("utf-8", errors="surrogatepass")
    matches = [hmac.compare_digest(given_bytes, text.encode()) for text in expected]
    return any(matches)


def check_path(path: str, settings: Settings) -> None:
    """Checks that a path, decoded, is one at which messages are accepted, token included.

    Raises:
        RefusalError: `not-found`, for a wrong token as for any other path.
    """
    if not same(path, *settings.callback_paths):
        raise RefusalError("not-found")


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
        raise RefusalError("source-refused", f"address {address or 'unknown'}")


def client_address(
    remote: str | None, forwarded_for: Sequence[str], trusted_proxies: int
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of the client, or None if it cannot be told.

    Each trusted proxy appends the address of its own client, so the sender stands
    `trusted_proxies` entries from the right; what stands left of it anybody can forge.
    """
    if trusted_proxies == 0:
        text = remote
    elif trusted_proxies <= len(forwarded_for):
        text = forwarded_for[-trusted_proxies]
    else:
        text = None
    try:
        address = ipaddress.ip_address((text or "").strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def check_credentials(payload: Mapping[str, Any], settings: Settings) -> None:
    """Checks the credentials in the body where some are set.

    ThingSpace v1 sends back, inside every message, what was registered [doc], and for some minutes
    after a change what was registered before [seen]: the previous password passes as well.

    Raises:
        RefusalError: `credentials-missing` or `credentials-wrong`.
    """
    if settings.callback_username is None or settings.callback_password is None:
        return
    # Elements that do not apply are sent empty [doc]: an empty text is as good as none.
    given = [payload.get(name) or None for name in ("username", "password")]
    if given == [None, None] and settings.credentials_may_be_missing:
        return
    if None in given:
        raise RefusalError("credentials-missing")
    username, password = (text if isinstance(text, str) else "" for text in given)
    passwords = (settings.callback_password, settings.callback_password_previous)
    # Both are compared whatever the first comparison says, so that time tells nothing.
    right = [
        same(username, settings.callback_username),
        same(password, *(secret.reveal() for secret in passwords if secret)),
    ]
    if not all(right):
        raise RefusalError("credentials-wrong")


def check_account(payload: Mapping[str, Any], settings: Settings) -> None:
    """Checks that a message that names an account names one of ours, where ours are set.

    Raises:
        RefusalError: `account-refused`.
    """
    named = payload.get("accountName")
    if (
        settings.accounts
        and named not in (None, "")
        and account_of(payload) not in settings.accounts
    ):
        raise RefusalError("account-refused")
