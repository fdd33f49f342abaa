"""Sends one call to ThingSpace: no retries, no meaning, limits of time and size."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import requests
import urllib3

from listener.logs import Redactor
from listener.secret import Secret
from registrar.errors import UnavailableError
from registrar.exchange import Limits, exchange
from registrar.protocol import Call
from registrar.refusals import Reply
from registrar.settings import Timing
from registrar.telemetry import Telemetry

USER_AGENT = "thingspace-fota-listener"


class Transport:
    """Calls to one API base; a call does not follow redirects.

    What the provider repeats of a secret in an error or a page goes no further than this, be it one of
    the settings or a token that the call showed: error texts are shown to people and stored. The answers that
    are data are left as they are.
    """

    def __init__(
        self,
        base_url: str,
        timing: Timing,
        secrets: Iterable[Secret] = (),
        telemetry: Telemetry | None = None,
    ) -> None:
        """Connects to nothing yet; takes the secrets that may be repeated."""
        self._telemetry = telemetry or Telemetry()
        self._secrets = tuple(secrets)
        self._base_url = base_url
        self._limits = Limits(timing.connect_timeout_s, timing.read_timeout_s)

    def send(self, call: Call, headers: Mapping[str, str]) -> Reply:
        """The answer, whatever it says.

        Raises:
            UnavailableError: there was none. Its `sent` is False only if the request certainly did
                not reach the provider.
        """
        started = time.monotonic()
        result = "mistake"
        try:
            reply = self._exchange(call, headers)
            result = "ok" if reply.ok else str(reply.status)
        except UnavailableError as error:
            result = error.reason
            raise
        finally:
            self._telemetry.called(call, result, time.monotonic() - started)
        return self._redacted(reply, headers)

    def _exchange(self, call: Call, headers: Mapping[str, str]) -> Reply:
        try:
            return exchange(
                call.method,
                self._base_url + call.path,
                self._limits,
                json=call.json,
                data=call.form,
                headers=_headers(call, headers),
            )
        except requests.RequestException as error:
            raise _unavailable(error) from error

    def _redacted(self, reply: Reply, headers: Mapping[str, str]) -> Reply:
        if reply.ok and not reply.body.lstrip().startswith(b"<"):
            return reply
        # With and without the word before it: "Bearer", "Basic".
        shown = (Secret(word) for value in headers.values() for word in (value, value.split()[-1]))
        redactor = Redactor((*self._secrets, *shown))
        return replace(reply, body=redactor.redact(reply.text).encode())


def _headers(call: Call, headers: Mapping[str, str]) -> dict[str, str]:
    # Some of the provider's pages require the content type on GET and DELETE too. [doc]
    kind = "application/json" if call.form is None else "application/x-www-form-urlencoded"
    usual = {"Accept": "application/json", "Content-Type": kind, "User-Agent": USER_AGENT}
    return {**usual, **headers}


def _unavailable(error: requests.RequestException) -> UnavailableError:
    # The text of the library's error names the URL, which holds no secret of ours here.
    cause = error.args[0] if error.args else error
    reason = getattr(cause, "reason", None) or cause
    kind = type(error).__name__
    detail = kind if isinstance(reason, str) else f"{kind}: {type(reason).__name__}"
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY" in str(error):
        return UnavailableError("certificate-refused", detail, sent=False)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader):
        return UnavailableError("unsendable", detail, sent=False)
    # A timeout while connecting counts as a new connection that failed, and so do unknown hosts.
    unsent = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError)
    unsent = unsent or isinstance(reason, urllib3.exceptions.NewConnectionError)
    if isinstance(error, requests.Timeout):
        return UnavailableError("timeout", detail, sent=not unsent)
    return UnavailableError("unreachable", detail, sent=not unsent)
