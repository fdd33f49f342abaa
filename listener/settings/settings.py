"""The listener's settings: read once from the environment, checked, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlsplit

from listener import thingspace
from listener.runtime.cpu import usable_cpus
from listener.settings import parsers
from listener.settings.env import EnvReader
from listener.settings.parsers import Network
from listener.settings.queue_settings import Durability
from listener.settings.redis_url import Address, RedisUrl
from listener.settings.secret import Secret

PROOFS = ("CALLBACK_TOKEN", "CALLBACK_USERNAME", "CALLBACK_PASSWORD", "CALLBACK_SOURCES")
MONTH_S = 30 * 24 * 3600
TEN_YEARS_H = 10 * 365 * 24
OPS_BIND = ("127.0.0.1", 9464)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the listener needs to know. Units stand in the names; secrets print as `***`."""

    redis_url: Secret
    public_url: str | None
    callback_token: Secret | None
    callback_token_previous: Secret | None
    callback_username: str | None
    callback_password: Secret | None
    callback_password_previous: Secret | None
    callback_sources: tuple[Network, ...] | None
    trusted_proxies: int
    allow_any_sender: bool
    accounts: tuple[str, ...]
    api_versions: tuple[str, ...]
    port: int
    web_concurrency: int
    ops_bind: Address | None
    ops_hosts: tuple[str, ...]
    queue_namespace: str
    queue_partitions: int
    queue_durability: Durability
    dedupe_window_s: int
    ack_budget_ms: int
    spool_dir: Path | None
    spool_max_bytes: int
    max_body_bytes: int
    quarantine_max_length: int
    retention_hours: int
    queue_max_length: int
    log_format: str
    log_level: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Reads the listener's settings alone.

        Raises:
            SettingsError: with every problem.
        """
        reader = EnvReader(environ)
        settings = cls.read(reader)
        reader.finish()
        return settings

    @classmethod
    def read(cls, reader: EnvReader) -> "Settings":
        """Reads the listener's variables; the caller finishes the reader and so learns of problems."""
        settings = cls(
            redis_url=Secret(
                reader.parsed("REDIS_URL", "redis://localhost:6379/0", parsers.redis_url)
            ),
            public_url=reader.parsed("PUBLIC_URL", None, parsers.public_url),
            callback_token=reader.parsed("CALLBACK_TOKEN", None, parsers.token),
            callback_token_previous=reader.parsed("CALLBACK_TOKEN_PREVIOUS", None, parsers.token),
            callback_username=reader.text("CALLBACK_USERNAME"),
            callback_password=reader.secret("CALLBACK_PASSWORD"),
            callback_password_previous=reader.secret("CALLBACK_PASSWORD_PREVIOUS"),
            callback_sources=reader.parsed("CALLBACK_SOURCES", None, parsers.sources),
            trusted_proxies=reader.whole("TRUSTED_PROXIES", 0, at_least=0, at_most=16),
            allow_any_sender=reader.flag("ALLOW_ANY_SENDER"),
            accounts=reader.parsed("THINGSPACE_ACCOUNTS", (), parsers.accounts),
            api_versions=reader.parsed("THINGSPACE_API_VERSIONS", ("v1",), parsers.api_versions),
            port=reader.whole("PORT", 8000, at_least=1, at_most=65535),
            web_concurrency=reader.whole("WEB_CONCURRENCY", usable_cpus(), at_least=1),
            ops_bind=reader.parsed(
                "OPS_BIND", None if reader.emptied("OPS_BIND") else OPS_BIND, parsers.address
            ),
            ops_hosts=reader.parsed("OPS_HOSTS", (), parsers.host_names),
            queue_namespace=reader.parsed("QUEUE_NAMESPACE", "fota", parsers.namespace),
            queue_partitions=reader.whole("QUEUE_PARTITIONS", 1, at_least=1, at_most=1024),
            queue_durability=reader.parsed("QUEUE_DURABILITY", Durability(), Durability.parse),
            dedupe_window_s=reader.whole("DEDUPE_WINDOW_S", 1800, at_least=1, at_most=MONTH_S),
            ack_budget_ms=reader.whole("ACK_BUDGET_MS", 1000, at_least=50, at_most=4000),
            spool_dir=reader.folder("SPOOL_DIR", "var/spool"),
            spool_max_bytes=reader.whole("SPOOL_MAX_BYTES", 2**30, at_least=2**16),
            max_body_bytes=reader.whole("MAX_BODY_BYTES", 4 * 2**20, at_least=1024),
            quarantine_max_length=reader.whole("QUARANTINE_MAX_LENGTH", 10_000, at_least=1),
            retention_hours=reader.whole("RETENTION_HOURS", 168, at_least=1, at_most=TEN_YEARS_H),
            # 0, which nobody can set, is: no bound.
            queue_max_length=reader.whole("QUEUE_MAX_LENGTH", 0, at_least=1),
            log_format=reader.choice("LOG_FORMAT", "json", ("json", "text")),
            log_level=reader.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        )
        settings._check_together(reader)
        return settings

    def _check_together(self, reader: EnvReader) -> None:
        if (self.callback_username is None) != (self.callback_password is None):
            missing = "USERNAME" if self.callback_username is None else "PASSWORD"
            other = "PASSWORD" if self.callback_username is None else "USERNAME"
            reader.problem(
                f"CALLBACK_{missing}", f"must be set because CALLBACK_{other} is: they go together"
            )
        for name, current, previous in (
            ("CALLBACK_TOKEN", self.callback_token, self.callback_token_previous),
            ("CALLBACK_PASSWORD", self.callback_password, self.callback_password_previous),
        ):
            if previous and not current:
                reader.problem(f"{name}_PREVIOUS", f"needs {name}: it is accepted beside that one")
        if self.ops_bind and self.ops_bind[1] == self.port:
            # What is served there is told by the port: it must not be the public one.
            reader.problem("OPS_BIND", "must have another port than PORT")
        without_login = {"v2", "v3"}.intersection(self.api_versions)
        if self.callback_password and not self.callback_token and without_login:
            reader.problem(
                "CALLBACK_TOKEN",
                "must be set: messages of v2 and v3 carry no password, so a token has to prove them",
            )
        if set(self.callback_paths) & set(parsers.RESERVED_PATHS):
            reader.problem("CALLBACK_TOKEN", "makes a path that the health checks have")
        if not (self.authenticates_sender or self.allow_any_sender or _misread(reader)):
            reader.problem(
                "CALLBACK_TOKEN",
                "nothing proves who sends: set CALLBACK_TOKEN, or CALLBACK_USERNAME and "
                "CALLBACK_PASSWORD, or CALLBACK_SOURCES, or accept anybody's messages with "
                "ALLOW_ANY_SENDER=true",
            )

    @property
    def unusual_accounts(self) -> list[str]:
        """The accounts whose name has not the usual form; most likely it is mistyped."""
        return [name for name in self.accounts if not parsers.USUAL_ACCOUNT_PATTERN.fullmatch(name)]

    @property
    def authenticates_sender(self) -> bool:
        """Whether a token, a password or a source filter is there to prove the sender."""
        return self.authenticates_before_body or self.callback_password is not None

    @property
    def trusts_forwarded_address_alone(self) -> bool:
        """Whether an entry of X-Forwarded-For is the only proof of sender."""
        stronger = self.callback_token is not None or self.callback_password is not None
        return self.callback_sources is not None and self.trusted_proxies > 0 and not stronger

    @property
    def authenticates_before_body(self) -> bool:
        """Whether whoever gets as far as the body has shown a token or a listed address."""
        return self.callback_token is not None or self.callback_sources is not None

    @property
    def credentials_may_be_missing(self) -> bool:
        """Whether a message without username and password can be authentic: v2 and v3 have none."""
        return self.callback_token is not None and not {"v2", "v3"}.isdisjoint(self.api_versions)

    @property
    def path(self) -> str:
        """The path of the public URL, decoded, without a token; `/` at the least."""
        if self.public_url is None:
            return thingspace.DEFAULT_CALLBACK_PATH
        return unquote(urlsplit(self.public_url).path) or "/"

    @cached_property
    def callback_paths(self) -> tuple[str, ...]:
        """The paths at which messages are accepted: with the token, with the one before it."""
        tokens = (self.callback_token, self.callback_token_previous)
        with_token = tuple(f"{self.path.rstrip('/')}/{t.reveal()}" for t in tokens if t)
        return with_token or (self.path,)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All secrets among the settings, so that logs can be kept free of them."""
        values = (getattr(self, field.name) for field in fields(self))
        passwords = RedisUrl.parse(self.redis_url.reveal()).secrets
        found = (*values, *(Secret(password) for password in passwords))
        return tuple(value for value in found if isinstance(value, Secret))


def _misread(reader: EnvReader) -> bool:
    """Whether there may be a proof of sender after all, once its problem is mended."""
    return any(reader.has_problem(name) for name in PROOFS)
