"""Why a request got no reply, in words that name what to change on this machine. Pure but for the environment."""

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
PROXY_REFUSAL = re.compile(r"Tunnel connection failed: (\d{3}[^'\")]*)")

UNSENDABLE = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.LocationValueError,
    UnicodeError,
)
MALFORMED_PROXY = (requests.exceptions.InvalidProxyURL, urllib3.exceptions.LocationValueError)


def translate(error: Exception, url: str, *, sent: bool) -> UnavailableError:
    """The error of the registrar's own tree.

    Its detail holds no secret: a proxy's URL, which may have a password, is named by its variable.

    Args:
        error: of `requests` or urllib3, or an OSError or ValueError of this machine's configuration.
        url: the requested one.
        sent: whether any byte of the request may have reached the server.
    """
    causes = list(_causes(error))
    reason, detail = (
        _certificate_problem(error, causes, url)
        or _proxy_problem(error, causes, url)
        or _other_problem(error, causes, url)
    )
    return UnavailableError(reason, detail, sent=sent)


def missing_bundle(names: tuple[str, ...] = BUNDLES) -> str | None:
    """Which variable names a certificate bundle that cannot be read, and why; None: no variable does."""
    name = _first_set(names)
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


def _first_set(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)


def _other_problem(error: Exception, causes: list[BaseException], url: str) -> tuple[str, str]:
    if isinstance(error, UNSENDABLE):
        return "unsendable", type(error).__name__
    if any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in causes):
        host = urlsplit(url).hostname or ""
        return "unknown-host", f"{host}: {_system_text(causes) or 'the name cannot be resolved'}"
    if isinstance(error, requests.Timeout):
        return "timeout", type(error).__name__
    return "unreachable", _system_text(causes) or type(error).__name__


def _certificate_problem(
    error: Exception, causes: list[BaseException], url: str
) -> tuple[str, str] | None:
    https = urlsplit(url).scheme == "https"
    may_be_bundle = https and isinstance(error, OSError) and not isinstance(error, requests.Timeout)
    if may_be_bundle and (problem := missing_bundle() or _empty_bundle(causes)):
        return "certificates-unreadable", problem
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "certificate-refused", f"{cause.verify_message} {_hint(cause)}"
    if isinstance(error, requests.exceptions.SSLError):
        reasons = (cause.reason for cause in causes if isinstance(cause, ssl.SSLError))
        return "tls-failed", next(filter(None, reasons), "the TLS handshake failed")
    return None


def _empty_bundle(causes: list[BaseException]) -> str | None:
    """Which variable names a bundle that holds no certificate."""
    name = _first_set(BUNDLES)
    loading = any("NO_CERTIFICATE_OR_CRL_FOUND" in str(c) or "PEM" in str(c) for c in causes)
    return f"{name} names {os.environ[name]}: it holds no certificate" if name and loading else None


def _hint(cause: ssl.SSLCertVerificationError) -> str:
    """What to check: the clock if the time is wrong, else the trusted authorities."""
    if re.search("expired|not yet valid", cause.verify_message):
        return f"(this machine's clock says {datetime.now(UTC):%Y-%m-%d})"
    if name := _first_set(BUNDLES):
        return f"(trusted: what {name} names)"
    return "(trusted: certifi's list; REQUESTS_CA_BUNDLE may name another file)"


def _proxy_problem(
    error: Exception, causes: list[BaseException], url: str
) -> tuple[str, str] | None:
    name = proxy_variable(url)
    if name is None:
        return None
    if "SOCKS" in str(error) or isinstance(error, requests.exceptions.InvalidSchema):
        return "proxy-unusable", f"{name} names a SOCKS proxy: only http and https ones can be used"
    if any(isinstance(cause, MALFORMED_PROXY) for cause in causes):
        return "proxy-unusable", f"{name} is not the URL of an http or https proxy"
    if not isinstance(error, requests.exceptions.ProxyError):
        return None
    for cause in causes:
        if refusal := PROXY_REFUSAL.search(str(cause)):
            return "proxy-refused", f"the proxy that {name} names answered {refusal[1].strip()}"
    why = _system_text(causes) or type(error).__name__
    return "proxy-unreachable", f"the proxy that {name} names: {why}"


def proxy_variable(url: str) -> str | None:
    """The variable that names the proxy for this URL; None: there is no proxy for it."""
    if not requests.utils.get_environ_proxies(url):
        return None
    scheme = urlsplit(url).scheme
    return _first_set((f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: in its arguments, as its `reason`, and chained."""
    waiting: list[object] = [error]
    known: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in known:
            known.add(id(cause))
            yield cause
            waiting += [
                *cause.args,
                getattr(cause, "reason", None),
                cause.__cause__,
                cause.__context__,
            ]


def _system_text(causes: list[BaseException]) -> str | None:
    """What the operating system says, as in "Connection refused"."""
    for cause in causes:
        if isinstance(cause, requests.RequestException) or not isinstance(cause, OSError):
            continue
        if isinstance(cause.strerror, str):
            return cause.strerror
    return None
