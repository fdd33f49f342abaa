"""Sends one call to ThingSpace over HTTP: no retries, no meaning, two timeouts."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import requests
import urllib3

from listener.logs import Redactor
from listener.secret import Secret
from registrar.errors import UnavailableError
from registrar.protocol import Call
from registrar.refusals import Reply
from registrar.settings import Timing

USER_AGENT = "thingspace-fota-listener"
# The largest answer that is read: a thousand times what the provider sends.
MAX_REPLY_BYTES = 1024 * 1024


class Transport:
    """Calls to one API base. Not for several threads at once; a call does not follow redirects.

    What the provider repeats of a secret in an error or a page goes no further than this: error texts
    are shown to people and stored. The answers that are data are left as they are.
    """

    def __init__(self, base_url: str, timing: Timing, secrets: Iterable[Secret] = ()) -> None:
        """Connects to nothing yet; takes the secrets that may be repeated."""
        self._redactor = Redactor(secrets)
        self._base_url = base_url
        self._timeouts = (timing.connect_timeout_s, timing.read_timeout_s)
        self._session = requests.Session()
        # Else requests puts the machine's ~/.netrc in place of the Authorization header.
        self._session.auth = _unchanged

    def send(self, call: Call, headers: Mapping[str, str]) -> Reply:
        """The answer, whatever it says.

        The read timeout is between two bytes, so a server that trickles can take longer.

        Raises:
            UnavailableError: there was none. Its `sent` is False only if the request certainly did
                not reach the provider.
        """
        try:
            with self._session.request(
                call.method,
                self._base_url + call.path,
                json=call.json,
                data=call.form,
                headers=_headers(call, headers),
                timeout=self._timeouts,
                allow_redirects=False,
                stream=True,
            ) as response:
                named = {name.lower(): value for name, value in response.headers.items()}
                return self._redacted(Reply(response.status_code, _body(response), named))
        except requests.RequestException as error:
            raise _unavailable(error) from error

    def _redacted(self, reply: Reply) -> Reply:
        if reply.ok and not reply.body.lstrip().startswith(b"<"):
            return reply
        return replace(reply, body=self._redactor.redact(reply.text).encode())

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _headers(call: Call, headers: Mapping[str, str]) -> dict[str, str]:
    # Some of the provider's pages require the content type on GET and DELETE too. [doc]
    kind = "application/json" if call.form is None else "application/x-www-form-urlencoded"
    usual = {"Accept": "application/json", "Content-Type": kind, "User-Agent": USER_AGENT}
    return {**usual, **headers}


def _body(response: requests.Response) -> bytes:
    body = b""
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            break
    return body


def _unavailable(error: requests.RequestException) -> UnavailableError:
    # The text of the library's error names the URL, which holds no secret of ours here.
    cause = error.args[0] if error.args else error
    reason = getattr(cause, "reason", None) or cause
    detail = f"{type(error).__name__}: {type(reason).__name__}"
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY" in str(error):
        return UnavailableError("certificate-refused", detail, sent=False)
    # A timeout while connecting counts as a new connection that failed, and so do unknown hosts.
    unsent = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError)
    unsent = unsent or isinstance(reason, urllib3.exceptions.NewConnectionError)
    if isinstance(error, requests.Timeout):
        return UnavailableError("timeout", detail, sent=not unsent)
    return UnavailableError("unreachable", detail, sent=not unsent)
