"""What ThingSpace may have against a callback URL, told before it refuses. Pure."""

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from registrar.model import DEFAULT_PORTS

# What a sibling service allows; FOTA's pages name no ports, and their examples use 50559. [doc]
PORTS = frozenset({80, 443, *range(9001, 9007), *range(50551, 50560), *range(28200, 28221)})

# A certificate authority that renews by itself does so thirty days ahead: by then it has failed twice.
CERTIFICATE_DAYS = 14


@dataclass(frozen=True)
class UrlWarning:
    """One thing that ThingSpace may refuse: which check, one word, and a sentence for people."""

    check: str
    problem: str


def check_url(url: str, versions: Collection[str]) -> list[UrlWarning]:
    """What can be said of the URL alone."""
    parts = urlsplit(url)
    warnings = []
    secure_only = sorted({"v2", "v3"} & set(versions))
    if parts.scheme != "https" and secure_only:
        problem = f"ThingSpace refuses an http URL for {' and '.join(secure_only)}"
        warnings.append(UrlWarning("scheme", problem))
    elif parts.scheme != "https":
        problem = "with http, the token and the messages travel in clear"
        warnings.append(UrlWarning("scheme", problem))
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    if port not in PORTS:
        problem = (
            f"port {port} may be refused: a sibling service allows only "
            "80, 443, 9001-9006, 50551-50559 and 28200-28220"
        )
        warnings.append(UrlWarning("port", problem))
    return warnings


def check_addresses(addresses: Sequence[str]) -> list[UrlWarning]:
    """What can be said of the addresses that the host's name leads to."""
    if not addresses:
        return [UrlWarning("address", "the host's name leads to no address")]
    hidden = [text for text in addresses if not ipaddress.ip_address(text).is_global]
    if not hidden:
        return []
    problem = f"{', '.join(hidden)} cannot be reached from the internet"
    return [UrlWarning("address", problem)]


def check_expiry(expires: datetime, now: datetime) -> list[UrlWarning]:
    """What can be said of a certificate's last day."""
    days = (expires - now).days
    if days >= CERTIFICATE_DAYS:
        return []
    return [UrlWarning("expiry", f"the certificate expires in {days} days, {expires:%Y-%m-%d}")]
