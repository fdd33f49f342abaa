"""Sends one HTTP request: sets its deadline, and a maximum size of the reply. See docs/adr/0020."""

import time
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from registrar.http.connections import CONNECTIONS, watched
from registrar.http.failures import translate
from registrar.http.reply import Reply

# The largest body that is read: a thousand times what the provider sends.
MAX_REPLY_BYTES = 1024 * 1024
# A connection that was idle for longer is not used again: the server may be closing it at this moment,
# and a request that is lost in that way may have been carried out.
MAX_IDLE_S = 5.0


@dataclass(frozen=True)
class Timeouts:
    """Seconds for connecting, and for each wait for the next bytes; their sum limits the whole request."""

    connect_s: float
    read_s: float

    @property
    def total_s(self) -> float:
        """The request ends after this time, in whatever phase it is."""
        return self.connect_s + self.read_s


class HttpSession:
    """Sends requests over kept connections; several threads may share it.

    The connections are kept for the requests of one tick, so that a host name of which some addresses are
    dead costs its timeouts once a tick. No redirect is followed and no cookie is stored. The environment may
    name a proxy and certificates, unless `trust_env` is False; `~/.netrc` is never read.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        trust_env: bool = True,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self._timeouts = timeouts
        self._max_reply_bytes = max_reply_bytes
        self._session = _session(trust_env=trust_env)
        self._used_at = time.monotonic()

    def request(self, method: str, url: str, **options: Any) -> Reply:
        """The reply, whatever its status. A body beyond `max_reply_bytes` is truncated.

        Args:
            method: of HTTP.
            url: where to.
            options: more of what `requests.request` takes.

        Raises:
            UnavailableError: there was no reply. Its `sent` is False only if no byte of the request can have
                reached the server.
        """
        if time.monotonic() - self._used_at > MAX_IDLE_S:
            self.close()
        try:
            return self._send(method, url, options)
        finally:
            self._used_at = time.monotonic()

    def close(self) -> None:
        """Closes the kept connections; the session may be used again."""
        self._session.close()

    def _send(self, method: str, url: str, options: dict[str, Any]) -> Reply:
        with watched(self._timeouts.total_s) as watchdog:
            try:
                reply = self._reply(method, url, options)
                if watchdog.expired:
                    # A body without a length that is cut looks like one that is complete.
                    raise requests.ReadTimeout
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                # OSError: those of requests, and of certificates that are not there. ValueError: a host's name
                # or a header that cannot be encoded.
                cause = requests.ReadTimeout() if watchdog.expired else error
                raise translate(cause, url, sent=watchdog.sent) from error
        return reply

    def _reply(self, method: str, url: str, options: dict[str, Any]) -> Reply:
        for value in options.get("headers", {}).values():
            # Or else it would fail after connecting, when something may have been sent.
            value.encode("latin-1")
        timeouts = (self._timeouts.connect_s, self._timeouts.read_s)
        with self._session.request(
            method, url, timeout=timeouts, allow_redirects=False, stream=True, **options
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, _body(response, self._max_reply_bytes), headers)


def request(
    method: str, url: str, timeouts: Timeouts, *, trust_env: bool = True, **options: Any
) -> Reply:
    """One request over a connection of its own; see `HttpSession.request`."""
    session = HttpSession(timeouts, trust_env=trust_env)
    try:
        return session.request(method, url, **options)
    finally:
        session.close()


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: requests would read the whole body of a redirect, however long, even if it does not follow it."""
        del resp
        return None


class _Adapter(HTTPAdapter):
    """Opens connections with a watchdog, also those to a proxy."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if type(pool) not in CONNECTIONS:
            # What urllib3 has for SOCKS, if PySocks is installed, opens connections of its own.
            raise requests.exceptions.InvalidSchema("SOCKS")
        pool.ConnectionCls = CONNECTIONS[type(pool)]
        return pool


def _session(*, trust_env: bool) -> requests.Session:
    session = _Session()
    session.trust_env = trust_env
    # Else requests puts the machine's ~/.netrc in place of the Authorization header.
    session.auth = _keep_auth_header
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def _keep_auth_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(response: requests.Response, max_bytes: int) -> bytes:
    # A buffer that grows in place: chunks may be of one byte.
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > max_bytes:
            break
    return bytes(body)
