"""Calls the public URL as a stranger would, before it is registered and before it is deregistered."""

import hmac
import re
import secrets
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

import requests
import structlog

import listener.callback.ownership_probe
from registrar.errors import MAX_DETAIL_CHARS
from registrar.fan_out import fan_out
from registrar.http.connections import connect
from registrar.http.failures import missing_bundle, translate
from registrar.http.reply import Reply
from registrar.http.request import Timeouts, request
from registrar.public_url.checks import (
    UrlWarning,
    check_addresses,
    check_expiry,
    check_url,
)
from registrar.settings import Probing, RegistrarSettings

log = structlog.get_logger("registrar")

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 15.0
# Before a DELETE several connections ask at once: behind a balancer each may lead to another deployment.
ASKED_AT_ONCE = 6
ASKING = Timeouts(1.0, 2.0)
ANSWER_FORM = re.compile(r"[0-9a-f]{64}")

Answerer = Literal["ours", "other"]


class Probe:
    """Asks the public URL for what only this deployment can answer.

    A probe that passes shows that the URL leads here from where the registrar is; that it does so from
    ThingSpace's network too, it cannot show.

    Args:
        settings: checked ones.
        queue_id: the queue's name in Redis, which COMMAND got too; None: Redis could not be asked.
    """

    def __init__(self, settings: RegistrarSettings, queue_id: str | None = None) -> None:
        """Calls nothing yet."""
        self._settings = settings
        self._queue_id = queue_id
        self._url = settings.wanted("v1").url
        timing = settings.timing
        self._timeouts = Timeouts(timing.connect_timeout_s, timing.read_timeout_s)

    def wait_until_allowed(self, wait: Callable[[float], bool]) -> bool:
        """Returns once registering may begin, as `REGISTRAR_PROBE` says; False: the process stops.

        With `require` it asks until the probe passes; with `warn` once; with `off` not at all. What
        ThingSpace may have against the URL is only ever warned of.
        """
        policy = self._settings.probe
        for warning in self.warnings(by_name=policy == "off"):
            log.warning("the url may be refused", check=warning.check, problem=warning.problem)
        return not wait(0) if policy == "off" else self._wait_until_answered(policy, wait)

    def warnings(self, *, by_name: bool = False) -> list[UrlWarning]:
        """What ThingSpace may have against the URL; `by_name`: as far as the URL itself tells."""
        url = self._settings.service.public_url or ""
        found = check_url(url, self._settings.service.api_versions)
        if by_name:
            return found
        found += check_addresses(_addresses(url))
        if urlsplit(url).scheme == "https":
            found += _check_certificate(url, self._timeouts.connect_s)
        return found

    def check(self) -> str | None:
        """What is wrong, in a few words; None: the probe passed."""
        nonce = secrets.token_hex(16)
        try:
            reply = request(
                "GET",
                self._url,
                self._timeouts,
                headers={listener.callback.ownership_probe.NONCE_HEADER: nonce},
            )
        except requests.RequestException as error:
            # Its own text may hold the URL, and so the token.
            return f"no answer: {translate(error, self._url, sent=False)}"
        answerer = self._answerer(nonce, reply)
        if answerer is None:
            return f"HTTP {reply.status} without an answer to the probe"
        return "another deployment answered" if answerer == "other" else None

    def answerers(self, url: str) -> set[Answerer]:
        """Who answers a nonce at a URL now, as several connections see it; empty: nobody, or no listener like this one.

        Takes three seconds at most, or what the search for the host's address takes.
        """
        asked = fan_out(
            lambda _: self._ask(url), range(ASKED_AT_ONCE), lambda _: False, at_once=ASKED_AT_ONCE
        )
        return {answerer for answerer in asked.values() if answerer}

    def _ask(self, url: str) -> Answerer | None:
        nonce = secrets.token_hex(16)
        try:
            reply = request(
                "GET", url, ASKING, headers={listener.callback.ownership_probe.NONCE_HEADER: nonce}
            )
        except requests.RequestException:
            return None
        return self._answerer(nonce, reply)

    def _answerer(self, nonce: str, reply: Reply) -> Answerer | None:
        answer, queue = _answer(reply, "answer"), _answer(reply, "queue")
        if answer is None:
            return None
        service = self._settings.service
        ours = hmac.compare_digest(answer, listener.callback.ownership_probe.answer(nonce, service))
        if queue is not None and self._queue_id is not None:
            named = listener.callback.ownership_probe.queue_answer(nonce, self._queue_id, service)
            ours = ours and hmac.compare_digest(queue, named)
        return "ours" if ours else "other"

    def _wait_until_answered(self, policy: Probing, wait: Callable[[float], bool]) -> bool:
        pause = FIRST_RETRY_S
        told: str | None = None
        while problem := self.check():
            if policy == "warn":
                log.warning("probe failed", problem=problem, does="registers all the same")
                return not wait(0)
            if problem != told:
                log.warning("probe failed", problem=problem, does="does not register, tries again")
                told = problem
            if wait(pause):
                return False
            pause = min(pause * 2, LONGEST_RETRY_S)
        log.info("probe passed")
        return True


def _answer(reply: Reply, member: str) -> str | None:
    """A member of the answer to a nonce, if it has the form of one."""
    try:
        content = reply.json()
    except ValueError:
        return None
    answer = content.get(member) if isinstance(content, dict) else None
    return answer if isinstance(answer, str) and ANSWER_FORM.fullmatch(answer) else None


def _addresses(url: str) -> list[str]:
    try:
        found = socket.getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        # A label of the name may be empty, or too long to be one.
        return []
    # An IPv6 address may carry the name of an interface.
    return sorted({str(entry[4][0]).partition("%")[0] for entry in found})


def _handshake(
    context: ssl.SSLContext, plain: socket.socket, host: str, timeout_s: float
) -> ssl.SSLSocket:
    # The time of the handshake as a whole, however it trickles.
    plain.settimeout(timeout_s)
    return context.wrap_socket(plain, server_hostname=host)


def _check_certificate(url: str, timeout_s: float) -> list[UrlWarning]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context()
    try:
        with (
            connect(host, port, timeout_s) as plain,
            _handshake(context, plain, host, timeout_s) as secure,
        ):
            certificate = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        # OpenSSL trusts nobody, and says nothing of it, where its own list is not there.
        problem = missing_bundle(("SSL_CERT_FILE",)) or error.verify_message
        return [UrlWarning("certificate", problem[:MAX_DETAIL_CHARS])]
    except (OSError, ValueError):
        # The probe itself will say that nobody answers, or that the name is none.
        return []
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return check_expiry(datetime.fromtimestamp(expires, UTC), datetime.now(UTC))
