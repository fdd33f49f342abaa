"""Sends one HTTP request with a hard limit on total time and response size.

A session keeps its connections for the next request of the same tick: so a host name of which some
addresses are dead costs its timeouts once a tick, not once a call.
"""

import time
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from registrar.http.connections import POOLS, watched
from registrar.http.reply import Reply

# The largest answer that is read: a thousand times what the provider sends.
MAX_REPLY_BYTES = 1024 * 1024
# A connection that was idle for longer is not used again: the server may be closing it at this moment,
# and a request that is lost in that way may have been carried out.
MAX_IDLE_S = 5.0


@dataclass(frozen=True)
class Timeouts:
    """Seconds to connect, and to wait for each next byte; together, of the whole exchange."""

    connect_s: float
    read_s: float

    @property
    def total_s(self) -> float:
        """The connection is cut after this time; only resolving the host name may take longer."""
        return self.connect_s + self.read_s


class NoAnswerError(Exception):
    """There was no answer; the cause says why.

    Attributes:
        error: a `requests.RequestException`, or an OSError of this machine's configuration.
        sent: whether any byte of the request may have reached the server behind the connection.
    """

    def __init__(self, error: Exception, *, sent: bool) -> None:
        super().__init__(type(error).__name__)
        self.error = error
        self.sent = sent


class HttpSession:
    """Sends requests one after the other over kept connections; threads may share it.

    No redirect is followed and no cookie is kept. The environment may name a proxy and certificates,
    unless `trust_env` is False; `~/.netrc` is never read.
    """

    def __init__(self, limits: Timeouts, *, trust_env: bool = True) -> None:
        self._limits = limits
        self._session = _session(trust_env=trust_env)
        self._used_at = time.monotonic()

    def request(self, method: str, url: str, **request: Any) -> Reply:
        """The answer, whatever it says. A body beyond `MAX_REPLY_BYTES` is cut there.

        Args:
            method: of HTTP.
            url: where to.
            request: more of what `requests.request` takes.

        Raises:
            NoAnswerError: there was none. Nothing else.
        """
        if time.monotonic() - self._used_at > MAX_IDLE_S:
            self.close()
        try:
            return self._exchange(method, url, request)
        finally:
            self._used_at = time.monotonic()

    def close(self) -> None:
        """Closes the kept connections; the session may be used again."""
        self._session.close()

    def _exchange(self, method: str, url: str, request: dict[str, Any]) -> Reply:
        with watched(self._limits.total_s) as watchdog:
            try:
                reply = self._reply(method, url, request)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                # OSError: those of requests, and of certificates that are not there.
                found = _explained(error, was_cut=watchdog.was_cut)
                raise NoAnswerError(found, sent=watchdog.sent) from error
            if watchdog.was_cut:
                # A body without a length that is cut looks like one that is complete.
                raise NoAnswerError(_too_slow(), sent=True)
        return reply

    def _reply(self, method: str, url: str, request: dict[str, Any]) -> Reply:
        timeouts = (self._limits.connect_s, self._limits.read_s)
        with self._session.request(
            method, url, timeout=timeouts, allow_redirects=False, stream=True, **request
        ) as response:
            named = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, _body(response), named)


def request(
    method: str, url: str, limits: Timeouts, *, trust_env: bool = True, **request: Any
) -> Reply:
    """One exchange over a connection of its own.

    Raises:
        requests.RequestException: there was no answer. Nothing else.
    """
    session = HttpSession(limits, trust_env=trust_env)
    try:
        return session.request(method, url, **request)
    except NoAnswerError as failure:
        if isinstance(failure.error, requests.RequestException):
            raise failure.error from failure
        raise requests.ConnectionError(failure.error) from failure
    finally:
        session.close()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: requests would read the body of a redirect as a whole, however long, even unfollowed."""
        del resp
        return None


class _Adapter(HTTPAdapter):
    """Opens connections that a watchdog can cut, also those to a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = POOLS
        return manager


def _session(*, trust_env: bool) -> requests.Session:
    session = _Session()
    session.trust_env = trust_env
    # Else requests puts the machine's ~/.netrc in place of the Authorization header.
    session.auth = _unchanged
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def _explained(error: Exception, *, was_cut: bool) -> Exception:
    """What really happened, as an error of `requests` or an OSError."""
    if was_cut:
        return _too_slow()
    if isinstance(error, UnicodeError | urllib3.exceptions.LocationValueError):
        # A host's name or a header that cannot be encoded: nothing was sent.
        return requests.exceptions.InvalidURL(error)
    if isinstance(error, OSError):
        return error
    return requests.ConnectionError(error)


def _too_slow() -> requests.ReadTimeout:
    return requests.ReadTimeout("the answer took too long")


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(response: requests.Response) -> bytes:
    # One that grows in place: chunks may be of one byte.
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            break
    return bytes(body)
