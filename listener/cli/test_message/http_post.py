"""Sends one HTTP request with a limit on its total time, and says in a sentence why there was no answer.

With the standard library alone: the base installation has no HTTP client.
"""

import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from listener.errors import ListenerError

SILENCE = ": a firewall that drops packets, or a service that hangs"
# Of an answer; ours is much shorter.
MAX_BODY_BYTES = 64 * 1024

BAD_CERTIFICATE = (
    "the certificate of {place} is not accepted: {cause.verify_message}. ThingSpace wants one of a public CA, and the "
    "intermediate certificates with it"
)
# The first that fits counts.
SENTENCES: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
    (socket.gaierror, "the name {host} cannot be resolved: {cause.strerror}"),
    (ssl.SSLCertVerificationError, BAD_CERTIFICATE),
    (ssl.SSLError, "TLS with {place} failed: {cause.reason}. Is that a port for https?"),
    (ConnectionRefusedError, "nothing listens at {place}: the connection was refused"),
    (TimeoutError, "no answer from {place} in time" + SILENCE),
    (
        (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError),
        "{place} closed the connection without an answer",
    ),
    (http.client.HTTPException, "{place} answered, but not in whole and valid HTTP ({name})"),
    (OSError, "{place} cannot be reached: {cause}"),
    (Exception, "the request failed: {name}: {cause}"),
)


class NoAnswerError(ListenerError):
    """There was no HTTP answer: why, in a sentence."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, its header's names in lower case, and after how many seconds it was there."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Returns every answer, whatever its status, and follows no redirect: ThingSpace may not follow it."""

    def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002 (urllib's signature)
        return response

    https_response = http_response


def send(
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Answer:
    """Sends a request, POST with a body and GET without, and returns the answer.

    Goes through the proxy that HTTPS_PROXY or HTTP_PROXY names, if there is one.

    Args:
        url: http or https.
        timeout_s: seconds for all of it, DNS and TLS included.
        headers: of the request.
        body: to be posted.

    Raises:
        NoAnswerError: there was none; the sentence may repeat the URL.
    """
    results: list[Answer | Exception] = []

    def work() -> None:
        try:
            results.append(_send(url, timeout_s, headers, body))
        except (OSError, http.client.HTTPException, ValueError) as error:
            results.append(error)

    # DNS knows no time limit, and a slow answer begins each read's anew.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not results:
        raise NoAnswerError(f"no answer within {timeout_s:g} s{SILENCE}")
    [result] = results
    if isinstance(result, Answer):
        return result
    raise NoAnswerError(_sentence(result, url)) from result


def _send(url: str, timeout_s: float, headers: Mapping[str, str], body: bytes | None) -> Answer:
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 (PUBLIC_URL is http or https)
    tls = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    started = time.perf_counter()
    with urllib.request.build_opener(_AsItIs(), tls).open(request, timeout=timeout_s) as response:
        seconds = time.perf_counter() - started
        answered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, answered, response.read(MAX_BODY_BYTES), seconds)


def _sentence(error: Exception, url: str) -> str:
    """Why there was no answer."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    place = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    # urllib hides the cause of what fails before there is an answer; some causes are a text.
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    cause = cause if isinstance(cause, BaseException) else OSError(cause)
    text = next(text for kinds, text in SENTENCES if isinstance(cause, kinds))
    return text.format(place=place, host=host, cause=cause, name=type(cause).__name__)
