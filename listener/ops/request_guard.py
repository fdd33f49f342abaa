"""Refuses DNS rebinding (421, by the Host header) and requests that another site's page causes (403), at every path.

A browser sends the name that it resolved as the Host header. If an attacker's page has its own name resolve
to this machine, its requests therefore carry that name, and no operator has allowed it. An IP address in the
header cannot come from DNS rebinding.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

import structlog
from flask import Flask, request
from werkzeug.exceptions import Forbidden, MisdirectedRequest

from listener.refusal_log import LogRateLimiter
from listener.settings.settings import Settings
from listener.text import truncate

log = structlog.get_logger("listener")

LOCALHOST = "localhost"
# Of Sec-Fetch-Site. `same-site` is not among them: another port of this machine is the same site.
ALLOWED_FETCH_SITES = ("same-origin", "none")
ADVICE = "if it is one of yours, add it to OPS_HOSTS"
MAX_LOGGED_CHARS = 100
# Host and port by RFC 9110 section 7.2: no user, no path, no list of several.
AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::[0-9]{0,5})?")


def guard_requests(app: Flask, settings: Settings, clock: Callable[[], float]) -> None:
    """Has the application refuse such requests before anything else, at most one log line per reason every 10 s."""
    bound = [settings.ops_bind[0]] if settings.ops_bind else []
    hosts = AllowedHosts([*bound, *settings.ops_hosts])
    limiter = LogRateLimiter(clock)

    def log_refusal(reason: str, **fields: str) -> None:
        suppressed = limiter.allow(reason)
        if suppressed is not None:
            log.warning("operating request refused", reason=reason, **fields, suppressed=suppressed)

    @app.before_request
    def refuse() -> None:
        host = request.headers.get("Host")
        if not hosts.allow(host, request.environ.get("RAW_URI", "/")):
            log_refusal("host", host=truncate(host or "", MAX_LOGGED_CHARS), advice=ADVICE)
            raise MisdirectedRequest
        if is_cross_site(dict(request.headers)):
            origin = request.headers.get("Origin", "")
            log_refusal("cross-site", origin=truncate(origin, MAX_LOGGED_CHARS))
            raise Forbidden


class AllowedHosts:
    """Decides whether a request names a host that the operating port answers for.

    Args:
        names: the host names that are allowed besides IP addresses and `localhost`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset((LOCALHOST, *(name.lower().removesuffix(".") for name in names)))

    def allow(self, host: str | None, target: str) -> bool:
        """Whether a request may be served.

        Args:
            host: the value of the Host header; None: there is none.
            target: the request target. One in absolute form names a host as well, which overrides the
                header (RFC 9112 section 3.2.2): both must be allowed.
        """
        authorities = [host or ""]
        if not target.startswith("/") and target != "*":
            authorities.append(_authority(target))
        return all(self._allows(authority) for authority in authorities)

    def _allows(self, authority: str) -> bool:
        host = parse_host(authority)
        return host is not None and (host in self._names or _is_address(host))


def parse_host(authority: str) -> str | None:
    """The host of `host[:port]` in lower case, without brackets and one dot at its end; None: it is malformed."""
    match = AUTHORITY.fullmatch(authority)
    if not match:
        return None
    if match["v6"]:
        return match["v6"].lower() if _is_address(match["v6"], version=6) else None
    return match["name"].lower().removesuffix(".") or None


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site causes this request; False if a person follows a link on it.

    Such a page cannot read the response, but hundreds of requests would load the processes that receive
    messages. Browsers send this in Fetch Metadata headers, which a page cannot change; other clients do
    not send them.

    Args:
        headers: by names such as `Sec-Fetch-Site`.
    """
    if headers.get("Sec-Fetch-Site", "none") in ALLOWED_FETCH_SITES:
        return False
    is_navigation = headers.get("Sec-Fetch-Mode") == "navigate"
    return not (is_navigation and headers.get("Sec-Fetch-Dest") == "document")


def _authority(target: str) -> str:
    try:
        return urlsplit(target).netloc
    except ValueError:
        return ""


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return version in (None, address.version)
