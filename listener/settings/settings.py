"""Settings: everything that the listener is configured by, read once from the environment, checked, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from urllib.parse import unquote, urlsplit

from listener.settings import parsers, provider_facts
from listener.settings.env import EnvReader, read_environ
from listener.settings.parsers import Network
from listener.settings.queue_settings import QueueSettings
from listener.settings.redis_url import Address
from listener.settings.secret import Secret
from listener.settings.secret_files import SUFFIX
from listener.settings.spool_settings import SpoolSettings

SENDER_PROOFS = ("CALLBACK_TOKEN", "CALLBACK_USERNAME", "CALLBACK_PASSWORD", "CALLBACK_SOURCES")
MONTH_S = 30 * 24 * 3600
TEN_YEARS_H = 10 * 365 * 24
OPS_BIND = ("127.0.0.1", 9464)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the listener is configured by. Units stand in the names; secrets print as `***`.

    Attributes:
        web_concurrency: how many workers; None: as many as there are processors for this process.
        callback_sources: the networks that may send; None: any.
        accounts: those whose messages are accepted; none: any.
        ops_bind: where the operating port is; None: there is none.
        queue_max_length: of a partition's stream, in entries; 0: unbounded.
    """

    queue: QueueSettings
    spool: SpoolSettings
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
    web_concurrency: int | None
    ops_bind: Address | None
    ops_hosts: tuple[str, ...]
    dedupe_window_s: int
    ack_budget_ms: int
    max_body_bytes: int
    quarantine_max_length: int
    retention_hours: int
    queue_max_length: int
    log_format: str
    log_level: str

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] = os.environ, *, require_sender_proof: bool = True
    ) -> "Settings":
        """Reads the listener's settings alone.

        Args:
            environ: to be read.
            require_sender_proof: whether to insist that something proves who sends; a command that
                receives nothing does not.

        Raises:
            SettingsError: with every problem.
        """
        return read_environ(environ, partial(cls.read, require_sender_proof=require_sender_proof))

    @classmethod
    def read(cls, env: EnvReader, *, require_sender_proof: bool = True) -> "Settings":
        """Reads the variables; the caller seals `env`, which reports the problems."""
        settings = cls(
            queue=QueueSettings.read(env),
            spool=SpoolSettings.read(env),
            public_url=env.parsed("PUBLIC_URL", None, parse=parsers.public_url),
            callback_token=env.secret("CALLBACK_TOKEN", None, parse=parsers.token),
            callback_token_previous=env.secret(
                "CALLBACK_TOKEN_PREVIOUS", None, parse=parsers.previous_token
            ),
            callback_username=env.parsed("CALLBACK_USERNAME", None, parse=str),
            callback_password=env.secret("CALLBACK_PASSWORD", None, parse=Secret),
            callback_password_previous=env.secret("CALLBACK_PASSWORD_PREVIOUS", None, parse=Secret),
            callback_sources=env.parsed("CALLBACK_SOURCES", None, parse=parsers.sources),
            trusted_proxies=env.parsed("TRUSTED_PROXIES", 0, parse=parsers.integer(0, 16)),
            allow_any_sender=env.parsed("ALLOW_ANY_SENDER", default=False, parse=parsers.boolean),
            accounts=env.parsed("THINGSPACE_ACCOUNTS", (), parse=parsers.accounts),
            api_versions=env.parsed("THINGSPACE_API_VERSIONS", ("v1",), parse=parsers.api_versions),
            port=env.parsed("PORT", 8000, parse=parsers.integer(1, 65535)),
            web_concurrency=env.parsed("WEB_CONCURRENCY", None, parse=parsers.integer(1)),
            ops_bind=env.parsed(
                "OPS_BIND", None if env.is_empty("OPS_BIND") else OPS_BIND, parse=parsers.address
            ),
            ops_hosts=env.parsed("OPS_HOSTS", (), parse=parsers.host_names),
            dedupe_window_s=env.parsed("DEDUPE_WINDOW_S", 1800, parse=parsers.integer(1, MONTH_S)),
            ack_budget_ms=env.parsed("ACK_BUDGET_MS", 1000, parse=parsers.integer(50, 4000)),
            max_body_bytes=env.parsed("MAX_BODY_BYTES", 4 * 2**20, parse=parsers.integer(1024)),
            quarantine_max_length=env.parsed(
                "QUARANTINE_MAX_LENGTH", 10_000, parse=parsers.integer(1)
            ),
            retention_hours=env.parsed(
                "RETENTION_HOURS", 168, parse=parsers.integer(1, TEN_YEARS_H)
            ),
            # 0 means unbounded; the variable itself must be at least 1.
            queue_max_length=env.parsed("QUEUE_MAX_LENGTH", 0, parse=parsers.integer(1)),
            log_format=env.parsed("LOG_FORMAT", "json", parse=parsers.one_of("json", "text")),
            log_level=env.parsed(
                "LOG_LEVEL", "info", parse=parsers.one_of("debug", "info", "warning", "error")
            ),
        )
        settings._check_together(env)
        if require_sender_proof:
            settings._check_sender_proof(env)
        return settings

    def _check_together(self, env: EnvReader) -> None:
        if (self.callback_username is None) != (self.callback_password is None):
            names = ("CALLBACK_USERNAME", "CALLBACK_PASSWORD")
            missing, other = names if self.callback_username is None else reversed(names)
            env.add_conflict(missing, other, f"must be set because {other} is: they go together")
        for name, current, previous in (
            ("CALLBACK_TOKEN", self.callback_token, self.callback_token_previous),
            ("CALLBACK_PASSWORD", self.callback_password, self.callback_password_previous),
        ):
            if previous and not current:
                text = f"needs {name}: it is accepted beside that one"
                env.add_conflict(f"{name}_PREVIOUS", name, text)
        if self.ops_bind and self.ops_bind[1] == self.port:
            # The port decides whether a request is for the operating application.
            env.add_conflict("OPS_BIND", "PORT", "must have another port than PORT")
        # None if the variable has a problem.
        without_login = {"v2", "v3"}.intersection(self.api_versions or ())
        if self.callback_password and not self.callback_token and without_login:
            env.add_conflict(
                "CALLBACK_TOKEN",
                "THINGSPACE_API_VERSIONS",
                "must be set: messages of v2 and v3 carry no password, so a token has to prove them",
            )
        if set(self.callback_paths) & set(parsers.RESERVED_PATHS):
            env.add_problem("CALLBACK_TOKEN", "makes a path that the health checks have")

    def _check_sender_proof(self, env: EnvReader) -> None:
        # A variable with a problem may be the proof, once it is corrected.
        may_prove = any(env.has_problem(name) for name in SENDER_PROOFS)
        if not (self.authenticates_sender or self.allow_any_sender or may_prove):
            env.add_problem(
                "CALLBACK_TOKEN",
                "nothing proves who sends: set CALLBACK_TOKEN, or CALLBACK_USERNAME and "
                "CALLBACK_PASSWORD, or CALLBACK_SOURCES, or accept anybody's messages with "
                "ALLOW_ANY_SENDER=true",
            )

    @property
    def unusual_accounts(self) -> list[str]:
        """The accounts whose names do not have the usual form; most likely they are mistyped."""
        return [name for name in self.accounts if not parsers.USUAL_ACCOUNT_PATTERN.fullmatch(name)]

    @property
    def weak_tokens(self) -> Mapping[str, str]:
        """What is wrong with a token that is accepted all the same, by the variable's name."""
        tokens = {
            "CALLBACK_TOKEN": self.callback_token,
            "CALLBACK_TOKEN_PREVIOUS": self.callback_token_previous,
        }
        return {
            name: weakness
            for name, token in tokens.items()
            if token and (weakness := parsers.weakness(token))
        }

    @property
    def authenticates_sender(self) -> bool:
        """Whether a token, a password or a source filter authenticates the sender."""
        return self.authenticates_before_body or self.callback_password is not None

    @property
    def trusts_forwarded_address_alone(self) -> bool:
        """Whether an entry of X-Forwarded-For is the only proof of sender."""
        stronger = self.callback_token is not None or self.callback_password is not None
        return self.callback_sources is not None and self.trusted_proxies > 0 and not stronger

    @property
    def authenticates_before_body(self) -> bool:
        """Whether a token or a source filter authenticates the sender before the body is read."""
        return self.callback_token is not None or self.callback_sources is not None

    @property
    def credentials_may_be_missing(self) -> bool:
        """Whether a message without username and password can be authentic: v2 and v3 have none."""
        return self.callback_token is not None and not {"v2", "v3"}.isdisjoint(self.api_versions)

    @property
    def path(self) -> str:
        """The path of the public URL, decoded, without a token; `/` at the least."""
        if self.public_url is None:
            return provider_facts.DEFAULT_CALLBACK_PATH
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
        own = (value for value in values if isinstance(value, Secret))
        return (*self.queue.secrets, *own)

    def without_files(self, environ: Mapping[str, str]) -> dict[str, str]:
        """`environ` with the secrets that files hold in place of the variables that name the files.

        For processes that start later: a file may be rewritten meanwhile, and all processes of a service must
        know the same secrets until it is restarted.
        """
        by_name = {
            "REDIS_URL": self.queue.url,
            "CALLBACK_TOKEN": self.callback_token,
            "CALLBACK_TOKEN_PREVIOUS": self.callback_token_previous,
            "CALLBACK_PASSWORD": self.callback_password,
            "CALLBACK_PASSWORD_PREVIOUS": self.callback_password_previous,
        }
        result = dict(environ)
        for name, secret in by_name.items():
            if result.pop(f"{name}{SUFFIX}", "") and secret:
                result[name] = secret.reveal()
        return result
