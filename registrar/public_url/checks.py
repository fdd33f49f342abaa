"""What ThingSpace may refuse of a callback URL: scheme, port, addresses, the certificate's last day. Pure."""

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from registrar.model import DEFAULT_PORTS

# The ports that a sibling service allows; FOTA's pages name no ports, and their examples use 50559. [doc]
PORTS = frozenset({80, 443, *range(9001, 9007), *range(50551, 50560), *range(28200, 28221)})

# Certificate authorities renew thirty days ahead: with fewer days than this the renewal has failed twice.
CERTIFICATE_DAYS = 14


@dataclass(frozen=True)
class UrlWarning:
    """One thing that ThingSpace may refuse: which check, one word, and a sentence for people."""

    check: str
    problem: str


def check_url(url: str, versions: Collection[str]) -> list[UrlWarning]:
    """The warnings of the URL's text."""
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
    """The warnings of the addresses that the host's name leads to."""
    if not addresses:
        return [UrlWarning("address", "the host's name leads to no address")]
    private = [text for text in addresses if not ipaddress.ip_address(text).is_global]
    if not private:
        return []
    return [UrlWarning("address", f"{', '.join(private)} cannot be reached from the internet")]


def check_expiry(expires: datetime, now: datetime) -> list[UrlWarning]:
    """The warning of a certificate that expires soon."""
    days = (expires - now).days
    if days >= CERTIFICATE_DAYS:
        return []
    span = "1 day" if days == 1 else f"{days} days"
    return [UrlWarning("expiry", f"the certificate expires in {span}, {expires:%Y-%m-%d}")]
