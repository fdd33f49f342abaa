"""The forms that settings' texts must have. Each function takes a text and returns its value.

All raise a ValueError that says what the text must be like, and does not repeat it.
"""

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from listener import thingspace
from listener.environment import words
from listener.secret import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RESERVED_PATHS = ("/healthz", "/readyz")
API_VERSIONS = ("v1", "v2", "v3")
# RFC 3986's unreserved characters: what no proxy and no client rewrites.
TOKEN_FORM = re.compile(r"[A-Za-z0-9._~-]+")
ACCOUNT_FORM = re.compile(r"[0-9]{10}-[0-9]{5}")
# A Redis hash tag ends at the first brace, and a colon would make two namespaces' keys meet.
NAMESPACE_FORM = re.compile(r"[A-Za-z0-9._-]+")


def token(text: str) -> Secret:
    """A secret path segment."""
    if not TOKEN_FORM.fullmatch(text):
        raise ValueError("may hold letters, digits and . _ ~ - only: it is part of a URL")
    return Secret(text)


def redis_url(text: str) -> str:
    """Where the queue is."""
    url = urlsplit(text)
    if url.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if url.scheme != "unix" and not url.hostname:
        raise ValueError("names no host")
    _ = url.port  # Raises a ValueError if it is not a port.
    return text


def public_url(text: str) -> str:
    """The URL that ThingSpace calls, without a token."""
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must be an http or https URL with a host")
    if url.query or url.fragment or url.username or url.password:
        raise ValueError("must not have a query, a fragment, or a username or password")
    if unquote(url.path) in RESERVED_PATHS:
        raise ValueError(f"must not have one of the paths {', '.join(RESERVED_PATHS)}")
    _ = url.port  # Raises a ValueError if it is not a port.
    return text


def sources(text: str) -> tuple[Network, ...] | None:
    """The networks that may send; None: any."""
    networks: list[Network] = []
    for word in words(text):
        if word == "any":
            return None
        if word == "thingspace":
            networks += [ipaddress.ip_network(address) for address in thingspace.SOURCE_ADDRESSES]
            continue
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError:
            raise ValueError(
                "must be `any`, `thingspace` or networks such as 192.0.2.0/24, comma-separated"
            ) from None
    return tuple(networks)


def accounts(text: str) -> tuple[str, ...]:
    """Accounts of ThingSpace, each once, in the order given."""
    accounts = words(text)
    if not all(ACCOUNT_FORM.fullmatch(account) for account in accounts):
        raise ValueError(
            "must be accounts such as 0242078689-00001 (ten digits, a hyphen, five digits), "
            "comma-separated"
        )
    return tuple(dict.fromkeys(accounts))


def api_versions(text: str) -> tuple[str, ...]:
    """API versions, each once, in the order given."""
    chosen = words(text)
    if not chosen or not set(chosen) <= set(API_VERSIONS):
        raise ValueError("must be some of v1, v2, v3, comma-separated")
    return tuple(dict.fromkeys(chosen))


def namespace(text: str) -> str:
    """The first part of every key."""
    if not NAMESPACE_FORM.fullmatch(text):
        raise ValueError("may hold letters, digits and . _ - only")
    return text
