"""Which hosts the operating port may be asked for, against DNS rebinding. Pure.

A browser sends the name that it resolved as Host. A page of an attacker whose name is made to resolve to this
machine therefore shows that name, which nobody here has allowed; an address can be no such name.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

LOCALHOST = "localhost"
OWN_SITES = ("same-origin", "none")
# Host and port as RFC 9110 section 7.2 has them: no user, no path, no list of several.
AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{0,5})?")


def host_of(authority: str) -> str | None:
    """The host of `host[:port]` in lower case, without brackets and one dot at its end; None: it is malformed."""
    found = AUTHORITY.fullmatch(authority)
    if not found:
        return None
    if found["v6"]:
        return found["v6"].lower() if _is_address(found["v6"], version=6) else None
    return found["name"].lower().removesuffix(".") or None


class AllowedHosts:
    """Decides whether a request names a host under which the operating port may be asked."""

    def __init__(self, names: Iterable[str]) -> None:
        """Takes host names that are allowed besides IP addresses and `localhost`."""
        self._names = frozenset((LOCALHOST, *(name.lower().removesuffix(".") for name in names)))

    def allow(self, host: str | None, target: str) -> bool:
        """Whether a request may be served.

        Args:
            host: the value of the Host header; None: there is none.
            target: the request target. One in absolute form names a host as well, which takes the
                header's place (RFC 9112 section 3.2.2): both must be allowed.
        """
        named = [host or ""]
        if not target.startswith("/") and target != "*":
            named.append(_authority(target))
        return all(self._allows(authority) for authority in named)

    def _allows(self, authority: str) -> bool:
        host = host_of(authority)
        return host is not None and (host in self._names or _is_address(host))


def is_of_another_site(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site has a browser load this, unless somebody follows a link to it.

    Such a page can read no answer, but hundreds of requests that it makes would be work for the
    processes that receive messages. Browsers say so themselves (Fetch Metadata), and a page cannot
    change what they say; whoever is no browser says nothing.

    Args:
        headers: by names such as `Sec-Fetch-Site`.
    """
    if headers.get("Sec-Fetch-Site", "none") in OWN_SITES:
        return False
    is_link = headers.get("Sec-Fetch-Mode") == "navigate"
    return not (is_link and headers.get("Sec-Fetch-Dest") == "document")


def _authority(target: str) -> str:
    try:
        return urlsplit(target).netloc
    except ValueError:
        return ""


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return version in (None, found.version)
