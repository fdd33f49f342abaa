"""Why a request got no answer, in words that name what to change on this machine. Pure but for the environment."""

import os
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3

from registrar.errors import UnavailableError

# The first of them that is set names the certificates that `requests` trusts.
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXY_AUTHENTICATION = re.compile(r"Tunnel connection failed: (\d{3}[^'\")]*)")


def translate(error: Exception, url: str, *, sent: bool) -> UnavailableError:
    """The error of this program's own tree.

    Its detail holds no secret: a proxy's URL, which may have a password, is named by its variable.

    Args:
        error: an error of `requests`, or an OSError or ValueError of this machine's configuration.
        url: the one that was asked for.
        sent: whether any of the request may have reached the server.
    """
    reason, detail = _explained(error, url)
    return UnavailableError(reason, detail, sent=sent)


def missing_bundle(names: tuple[str, ...] = BUNDLES) -> str | None:
    """Which variable names a certificate bundle that cannot be read, and why; None: no such one."""
    name = next((name for name in names if os.environ.get(name)), None)
    if name is None:
        return None
    try:
        path = Path(os.environ[name])
        if path.is_dir():
            return None
        with path.open("rb"):
            return None
    except (OSError, ValueError) as error:
        return f"{name} names {os.environ[name]}: {getattr(error, 'strerror', None) or error}"


def _explained(error: Exception, url: str) -> tuple[str, str]:
    causes = list(_causes(error))
    if problem := _of_certificates(error, causes, url):
        return problem
    if problem := _of_proxy(error, causes, url):
        return problem
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return "unsendable", type(error).__name__
    host = urlsplit(url).hostname or ""
    if any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in causes):
        return "unknown-host", f"{host}: {_system_text(causes) or 'the name cannot be resolved'}"
    if isinstance(error, requests.Timeout):
        return "timeout", type(error).__name__
    return "unreachable", _system_text(causes) or type(error).__name__


def _of_certificates(
    error: Exception, causes: list[BaseException], url: str
) -> tuple[str, str] | None:
    if isinstance(error, OSError) and urlsplit(url).scheme == "https":
        problem = missing_bundle()
        unread = problem or _unusable_bundle(causes)
        if unread and not isinstance(error, requests.Timeout):
            return "certificates-unreadable", unread
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate-refused", f"{cause.verify_message} {_trusted(cause)}"
    if isinstance(error, requests.exceptions.SSLError):
        found = next((c for c in causes if isinstance(c, ssl.SSLError) and c.reason), None)
        return "tls-failed", str(found.reason) if found else "the TLS handshake failed"
    return None


def _unusable_bundle(causes: list[BaseException]) -> str | None:
    """A bundle that is there and holds no certificate."""
    name = next((name for name in BUNDLES if os.environ.get(name)), None)
    loading = any("NO_CERTIFICATE_OR_CRL_FOUND" in str(c) or "PEM" in str(c) for c in causes)
    return f"{name} names {os.environ[name]}: it holds no certificate" if name and loading else None


def _trusted(cause: ssl.SSLCertVerificationError) -> str:
    """What to look at: the clock, where the time is what is wrong; else, which authorities are trusted."""
    if re.search("expired|not yet valid", cause.verify_message):
        return f"(this machine's clock says {datetime.now(UTC):%Y-%m-%d})"
    name = next((name for name in BUNDLES if os.environ.get(name)), None)
    if name:
        return f"(trusted: what {name} names)"
    return "(trusted: certifi's list; REQUESTS_CA_BUNDLE may name another file)"


def _of_proxy(error: Exception, causes: list[BaseException], url: str) -> tuple[str, str] | None:
    name = proxy_variable(url)
    if name is None:
        return None
    if "SOCKS" in str(error) or isinstance(error, requests.exceptions.InvalidSchema):
        return "proxy-unusable", f"{name} names a SOCKS proxy: only http and https ones can be used"
    malformed = requests.exceptions.InvalidProxyURL | urllib3.exceptions.LocationValueError
    if any(isinstance(cause, malformed) for cause in causes):
        return "proxy-unusable", f"{name} is not the URL of an http or https proxy"
    if isinstance(error, requests.exceptions.ProxyError):
        if answered := next(filter(None, map(_refusal_of_proxy, causes)), None):
            return "proxy-refused", f"the proxy that {name} names answered {answered}"
        why = _system_text(causes)
        return "proxy-unreachable", f"the proxy that {name} names: {why or type(error).__name__}"
    return None


def _refusal_of_proxy(cause: BaseException) -> str | None:
    found = PROXY_AUTHENTICATION.search(str(cause))
    return found[1].strip() if found else None


def proxy_variable(url: str) -> str | None:
    """The variable that names the proxy for this URL; None: there is no proxy for it."""
    if not requests.utils.get_environ_proxies(url):
        return None
    scheme = urlsplit(url).scheme
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if os.environ.get(name)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and all that it was made of: in its arguments, as its `reason`, and as its cause."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]


def _system_text(causes: list[BaseException]) -> str | None:
    """What the operating system says, as in "Connection refused"."""
    for cause in causes:
        if isinstance(cause, requests.RequestException) or not isinstance(cause, OSError):
            continue
        if isinstance(cause.strerror, str):
            return cause.strerror
    return None
