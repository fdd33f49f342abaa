"""The registrar's settings: the listener's and its own, read together, checked, frozen."""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from listener.settings import parsers
from listener.settings.env import EnvReader, read_environ
from listener.settings.secret import Secret
from listener.settings.settings import Settings
from listener.settings.spool_settings import DEFAULT_FOLDER
from registrar.model import Credentials, Desired, Registration, Slot
from registrar.plan import FLAP_WINDOW_INTERVALS, Takeover

BASE_URL = "https://thingspace.verizon.com/api"
CREDENTIAL_NAMES = (
    "THINGSPACE_KEY",
    "THINGSPACE_SECRET",
    "THINGSPACE_USERNAME",
    "THINGSPACE_PASSWORD",
)
"""The provider's credentials. COMMAND does not inherit them, because web workers must not hold them."""

Deregister = Literal["last", "never", "always"]
Probing = Literal["require", "warn", "off"]
RecoveryMode = Literal["off", "report", "queue"]


DEFAULT_RECOVERY: RecoveryMode = "report"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time limits that are no settings, in seconds; tests shorten them."""

    # For one request to ThingSpace: far longer than it takes, and in sum shorter than the mutex's TTL.
    connect_timeout_s: float = 3.05
    read_timeout_s: float = 10.0
    # Redis is near: a longer wait is an outage, and the registrar goes on without Redis.
    redis_timeout_s: float = 2.0
    # The mutex's TTL is longer than a request by at least this: a reply of Redis lies in between.
    mutex_margin_s: float = 3.0
    # The backoff after a failed tick. Well below ten seconds, so that the URL is registered within ten seconds
    # of ThingSpace's return.
    first_retry_s: float = 0.5
    max_retry_s: float = 7.0
    # The whole shutdown. Less than Heroku's thirty seconds between SIGTERM and SIGKILL.
    shutdown_s: float = 25.0
    # The part of it for the deregistration and the drain. The rest is COMMAND's; gunicorn's own limit is ten.
    deregister_s: float = 12.0
    # COMMAND goes on receiving for this long after the DELETE: a message may have been sent before it, and a
    # failed one is tried again after 1.2 to 1.7 s (observed on a sibling service).
    drain_s: float = 2.0
    # COMMAND's time limit after a second signal to stop.
    second_signal_s: float = 3.0


@dataclass(frozen=True, kw_only=True)
class RegistrarSettings:
    """The registrar's settings. Units stand in the names; secrets print as `***`."""

    service: Settings
    enabled: bool
    credentials: Credentials
    base_url: str
    interval_s: int
    lease_ttl_s: int
    deregister: Deregister
    takeover: Takeover
    probe: Probing
    recovery: RecoveryMode
    recovery_interval_h: float
    recovery_second_look_s: float | None
    state_dir: Path
    timing: Timing = field(default_factory=Timing)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        by_hand: bool = False,
        any_account: bool = False,
    ) -> "RegistrarSettings":
        """Reads the listener's and the registrar's settings.

        Args:
            environ: to be read.
            by_hand: a person wants something done, so all that is needed for it must be there, even
                with REGISTRAR=off.
            any_account: for a command that names its account itself: only the provider's credentials must be there.

        Raises:
            listener.errors.SettingsError: with every problem of both.
        """
        read = partial(cls.read, by_hand=by_hand, any_account=any_account)
        return read_environ(environ, read)

    @classmethod
    def read(
        cls, env: EnvReader, *, by_hand: bool = False, any_account: bool = False
    ) -> "RegistrarSettings":
        """Reads the variables; the caller seals `env`, which reports the problems."""
        service = Settings.read(env, require_sender_proof=not any_account)
        settings = cls(
            service=service,
            enabled=env.parsed("REGISTRAR", "on", parse=parsers.one_of("on", "off")) != "off",
            credentials=Credentials(*(_secret(env, name) for name in CREDENTIAL_NAMES)),
            base_url=env.parsed("THINGSPACE_BASE_URL", BASE_URL, parse=parse_base_url),
            interval_s=env.parsed("REGISTRAR_INTERVAL_S", 60, parse=parsers.integer(1)),
            lease_ttl_s=env.parsed("REGISTRAR_LEASE_TTL_S", 30, parse=parsers.integer(1)),
            deregister=cast(
                Deregister,
                env.parsed(
                    "REGISTRAR_DEREGISTER", "last", parse=parsers.one_of("last", "never", "always")
                ),
            ),
            takeover=cast(
                Takeover,
                env.parsed(
                    "REGISTRAR_TAKEOVER", "boot", parse=parsers.one_of("boot", "always", "never")
                ),
            ),
            probe=cast(
                Probing,
                env.parsed(
                    "REGISTRAR_PROBE", "warn", parse=parsers.one_of("require", "warn", "off")
                ),
            ),
            recovery=cast(
                RecoveryMode,
                env.parsed(
                    "RECOVERY", DEFAULT_RECOVERY, parse=parsers.one_of("off", "report", "queue")
                ),
            ),
            recovery_interval_h=env.parsed(
                "RECOVERY_INTERVAL_H", 24.0, parse=parsers.decimal(0.01)
            ),
            recovery_second_look_s=env.parsed(
                "RECOVERY_SECOND_LOOK_S", None, parse=parsers.decimal(0.0)
            ),
            # Beside the spool, because its volume survives a restart.
            state_dir=service.spool.folder or DEFAULT_FOLDER,
        )
        if settings.enabled or by_hand or any_account:
            settings._require(env, any_account=any_account)
        return settings

    def _require(self, env: EnvReader, *, any_account: bool) -> None:
        """Reports each missing variable without which the URL cannot be registered."""
        own = {"PUBLIC_URL": self.service.public_url, "THINGSPACE_ACCOUNTS": self.service.accounts}
        credentials = dict(zip(CREDENTIAL_NAMES, self._credential_texts, strict=True))
        needed = credentials if any_account else {**own, **credentials}
        for name, value in needed.items():
            if not value and not env.has_problem(name):
                env.add_problem(
                    name, "must be set: the registrar needs it (REGISTRAR=off: it is not to run)"
                )

    @property
    def _credential_texts(self) -> tuple[str, ...]:
        c = self.credentials
        return tuple(s.reveal() for s in (c.key, c.secret, c.username, c.password))

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All secrets among the settings, for the redaction of logs."""
        # The username is no secret, and often a word that is too short to be redacted.
        credentials = self.credentials
        own = (credentials.key, credentials.secret, credentials.password)
        return (*self.service.secrets, *(secret for secret in own if secret.reveal()))

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Every account in every version."""
        service = self.service
        return tuple(Slot(a, v) for a in service.accounts for v in service.api_versions)

    def desired(self, slot: Slot) -> Desired:
        """The registration that this deployment wants in a slot."""
        return Desired(self.wanted(slot.version), self.previous(slot.version))

    def digest(self, text: str) -> str:
        """A keyed digest of a text: equal in all replicas, and nobody else can compute it."""
        key = self.credentials.secret.reveal().encode()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:16]

    @property
    def mutex_ttl_s(self) -> float:
        """How long the mutex lasts after a renewal: longer than any request."""
        timing = self.timing
        request_s = timing.connect_timeout_s + timing.read_timeout_s
        return max(self.lease_ttl_s, request_s + timing.mutex_margin_s)

    @property
    def flap_window_s(self) -> float:
        """How long a takeover counts, in seconds."""
        return self.interval_s * FLAP_WINDOW_INTERVALS

    @property
    def deployment(self) -> str:
        """A digest of everything that this deployment wants to be registered; equal in all its replicas."""
        wanted = [self.wanted(version) for version in self.service.api_versions]
        texts = [(w.url, w.username, w.password.reveal() if w.password else None) for w in wanted]
        return self.digest(repr((sorted(self.service.accounts), texts)))

    def wanted(self, version: str) -> Registration:
        """The registration that this deployment wants in an API version."""
        return self._registration(version, self.service.callback_token)

    def previous(self, version: str) -> Registration | None:
        """The registration with the previous token, which is ours as well; None: no previous token."""
        previous = self.service.callback_token_previous
        return self._registration(version, previous) if previous else None

    def _registration(self, version: str, token: Secret | None) -> Registration:
        public = self.service.public_url or ""
        url = f"{public.rstrip('/')}/{token.reveal()}" if token else public
        if version != "v1":
            return Registration(url)
        return Registration(url, self.service.callback_username, self.service.callback_password)


def _secret(env: EnvReader, name: str) -> Secret:
    return env.secret(name, None, parse=Secret) or Secret("")


def parse_base_url(text: str) -> str:
    """ThingSpace's base URL, without a slash at its end.

    Raises:
        ValueError: it is none, or it is http and not of this machine.
    """
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("must be an http or https URL with a host")
    if url.query or url.fragment or "@" in url.netloc:
        raise ValueError("must not have a query, a fragment, or a username or password")
    _ = url.port  # Raises a ValueError if it is not a port.
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    if not re.fullmatch(rf"{re.escape(host)}(:\d*)?", url.netloc, re.IGNORECASE):
        # "[::1]example.com": other parsers would connect to another host.
        raise ValueError("must be an http or https URL with a host")
    if url.scheme == "http" and not _is_this_machine(url.hostname):
        # A setting that allows it would be one that puts the credentials on the wire in clear.
        raise ValueError(
            "must be https: http would carry the credentials in clear, and is accepted for this "
            "machine alone (localhost, 127.0.0.1, [::1])"
        )
    return text.rstrip("/")


def _is_this_machine(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        # No other name, because DNS decides where it leads.
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
