"""Probes the public URL as a stranger would, before it is registered and before it is deregistered."""

import hmac
import re
import secrets
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

import structlog

from listener.callback import ownership_probe
from registrar.errors import MAX_DETAIL_CHARS, UnavailableError
from registrar.fan_out import fan_out
from registrar.http.connections import connect, resolve
from registrar.http.failures import missing_bundle
from registrar.http.reply import Reply
from registrar.http.request import Timeouts, request
from registrar.public_url.checks import UrlWarning, check_addresses, check_expiry, check_url
from registrar.settings import Probing, RegistrarSettings

log = structlog.get_logger("registrar")

FIRST_RETRY_S = 1.0
MAX_RETRY_S = 15.0
# Before a DELETE several connections probe at once: behind a balancer each may lead to another deployment.
CONNECTIONS = 6
ANSWERER_TIMEOUTS = Timeouts(1.0, 2.0)
DIGEST_RE = re.compile(r"[0-9a-f]{64}")

Answerer = Literal["ours", "other"]


class Probe:
    """Asks the public URL for what only this deployment can answer.

    A probe that passes shows that the URL leads here from the registrar's network. It cannot show that the URL
    does so from ThingSpace's network too.

    Args:
        settings: checked ones.
        queue_id: the queue's name in Redis, which COMMAND got too; None: Redis could not be asked.
    """

    def __init__(self, settings: RegistrarSettings, queue_id: str | None = None) -> None:
        self._settings = settings
        self._queue_id = queue_id
        self._url = settings.wanted("v1").url
        timing = settings.timing
        self._timeouts = Timeouts(timing.connect_timeout_s, timing.read_timeout_s)

    def wait_until_allowed(self, wait: Callable[[float], bool]) -> bool:
        """Returns True once registering may begin, as `REGISTRAR_PROBE` says; False: the process stops.

        With `require` it probes until the probe passes; with `warn` once; with `off` not at all. What
        ThingSpace may have against the URL is only logged.
        """
        policy = self._settings.probe
        for warning in self.warnings(by_name=policy == "off"):
            log.warning("the url may be refused", check=warning.check, problem=warning.problem)
        return not wait(0) if policy == "off" else self._wait_until_answered(policy, wait)

    def warnings(self, *, by_name: bool = False) -> list[UrlWarning]:
        """What ThingSpace may have against the URL; `by_name`: without connecting to it."""
        url = self._settings.service.public_url or ""
        warnings = check_url(url, self._settings.service.api_versions)
        if by_name:
            return warnings
        warnings += check_addresses(_addresses(url, self._timeouts.connect_s))
        if urlsplit(url).scheme == "https":
            warnings += _check_certificate(url, self._timeouts.connect_s)
        return warnings

    def check(self) -> str | None:
        """What is wrong, in a few words; None: the probe passed."""
        nonce = secrets.token_hex(16)
        try:
            reply = _ask(self._url, nonce, self._timeouts)
        except UnavailableError as error:
            return f"no answer: {error}"
        answerer = self._answerer(nonce, reply)
        if answerer is None:
            return f"HTTP {reply.status} without an answer to the probe"
        return "another deployment answered" if answerer == "other" else None

    def answerers(self, url: str) -> set[Answerer]:
        """Who answers at a URL now, as several connections see it; empty: nobody, or no listener like this one.

        Takes three seconds at most.
        """
        answerers = fan_out(
            lambda _: self._answerer_at(url),
            range(CONNECTIONS),
            lambda _: False,
            at_once=CONNECTIONS,
        )
        return {answerer for answerer in answerers.values() if answerer}

    def _answerer_at(self, url: str) -> Answerer | None:
        nonce = secrets.token_hex(16)
        try:
            reply = _ask(url, nonce, ANSWERER_TIMEOUTS)
        except UnavailableError:
            return None
        return self._answerer(nonce, reply)

    def _answerer(self, nonce: str, reply: Reply) -> Answerer | None:
        answer, queue = _member(reply, "answer"), _member(reply, "queue")
        if answer is None:
            return None
        service = self._settings.service
        ours = hmac.compare_digest(answer, ownership_probe.answer(nonce, service))
        if queue is not None and self._queue_id is not None:
            expected = ownership_probe.queue_answer(nonce, self._queue_id, service)
            ours = ours and hmac.compare_digest(queue, expected)
        return "ours" if ours else "other"

    def _wait_until_answered(self, policy: Probing, wait: Callable[[float], bool]) -> bool:
        pause_s = FIRST_RETRY_S
        logged: str | None = None
        while problem := self.check():
            if policy == "warn":
                log.warning("probe failed", problem=problem, does="registers all the same")
                return not wait(0)
            if problem != logged:
                log.warning("probe failed", problem=problem, does="does not register, tries again")
                logged = problem
            if wait(pause_s):
                return False
            pause_s = min(pause_s * 2, MAX_RETRY_S)
        log.info("probe passed")
        return True


def _ask(url: str, nonce: str, timeouts: Timeouts) -> Reply:
    return request("GET", url, timeouts, headers={ownership_probe.NONCE_HEADER: nonce})


def _member(reply: Reply, name: str) -> str | None:
    """A member of the answer to a nonce, if it has the form of a digest."""
    try:
        content = reply.json()
    except ValueError:
        return None
    answer = content.get(name) if isinstance(content, dict) else None
    return answer if isinstance(answer, str) and DIGEST_RE.fullmatch(answer) else None


def _addresses(url: str, timeout_s: float) -> list[str]:
    try:
        addresses = resolve(urlsplit(url).hostname or "", None, timeout_s)
    except (OSError, UnicodeError):
        # A label of the name may be empty, or too long to be one.
        return []
    # An IPv6 address may carry the name of an interface.
    return sorted({address.partition("%")[0] for address in addresses})


def _check_certificate(url: str, timeout_s: float) -> list[UrlWarning]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context()
    try:
        with (
            connect(host, port, timeout_s, timeout_s) as plain,
            # The time limit of the connection is that of the whole handshake, also if it trickles.
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            certificate = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        # OpenSSL trusts nobody, and does not say so, if its own list is missing.
        problem = missing_bundle(("SSL_CERT_FILE",)) or error.verify_message
        return [UrlWarning("certificate", problem[:MAX_DETAIL_CHARS])]
    except (OSError, ValueError):
        # The probe itself will say that nobody answers, or that the name is none.
        return []
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return check_expiry(datetime.fromtimestamp(expires, UTC), datetime.now(UTC))
