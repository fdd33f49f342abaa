"""Sends one call to ThingSpace: no retries, no meaning, limits of time and size."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from listener import __version__
from listener.logs import Redactor
from listener.settings.secret import Secret
from registrar.errors import UnavailableError
from registrar.http.reply import Reply
from registrar.http.request import MAX_REPLY_BYTES, HttpSession, Timeouts
from registrar.metrics import Metrics
from registrar.settings import Timing
from registrar.thingspace.requests import Call

USER_AGENT = f"thingspace-fota-listener/{__version__}"


class Transport:
    """Calls to one API base over kept connections; a call does not follow redirects.

    Secrets that ThingSpace repeats in an error or a page are redacted here, those of the settings and the tokens
    that the call showed: error texts are shown to people and stored. Replies that are data are left as they are.

    Args:
        base_url: of the API.
        timing: its time limits for a request.
        secrets: to redact.
        metrics: counts calls.
        max_reply_bytes: where a reply is truncated.
    """

    def __init__(
        self,
        base_url: str,
        timing: Timing,
        secrets: Iterable[Secret] = (),
        metrics: Metrics | None = None,
        max_reply_bytes: int = MAX_REPLY_BYTES,
    ) -> None:
        self._metrics = metrics or Metrics()
        self._secrets = tuple(secrets)
        self._base_url = base_url
        self._http = HttpSession(
            Timeouts(timing.connect_timeout_s, timing.read_timeout_s),
            # http is for this machine alone: a proxy would get the credentials in clear.
            trust_env=urlsplit(base_url).scheme != "http",
            max_reply_bytes=max_reply_bytes,
        )

    def send(self, call: Call, headers: Mapping[str, str]) -> Reply:
        """The reply, whatever its status.

        Raises:
            UnavailableError: there was none. Its `sent` is False only if the request certainly did not
                reach ThingSpace.
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
            self._metrics.provider_call(call.name, result, time.monotonic() - started)
        return self._redacted(reply, headers)

    def close(self) -> None:
        """Closes the kept connections."""
        self._http.close()

    def _exchange(self, call: Call, headers: Mapping[str, str]) -> Reply:
        return self._http.request(
            call.method,
            self._base_url + call.path,
            json=call.json,
            data=call.form,
            headers=_headers(call, headers),
        )

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
