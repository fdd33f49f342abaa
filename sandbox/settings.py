"""The settings of a sandbox; `python -m sandbox --help` explains each."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sandbox import provider_facts

EmptyForm: TypeAlias = Literal[
    "by-version",
    "zero-bytes",
    "null",
    "list",
    "object",
    "no-content",
    "not-found",
    "not-found-empty",
    "not-registered-403",
    "not-registered-400",
]
DeadSession: TypeAlias = Literal[
    "by-cause",
    "session-expired",
    "session-invalid",
    "session-unauthorized",
    "session-unauthorized-empty",
    "session-unknown-code",
]
QueryForm: TypeAlias = Literal["list", "object"]

EMPTY_FORMS: tuple[EmptyForm, ...] = get_args(EmptyForm)
DEAD_SESSIONS: tuple[DeadSession, ...] = get_args(DeadSession)
QUERY_FORMS: tuple[QueryForm, ...] = get_args(QueryForm)


@dataclass(frozen=True)
class Settings:
    """Credentials, accounts, spans in seconds, and the choice where the provider's is unknown."""

    key: str = "sandbox-key"
    secret: str = "sandbox-secret"  # noqa: S105 - the stand-in's own, guarding nothing
    username: str = "sandbox-user"
    password: str = "sandbox-password"  # noqa: S105 - the same
    accounts: tuple[str, ...] = (provider_facts.EXAMPLE_ACCOUNT,)

    token_life_s: float = provider_facts.TOKEN_LIFE_S
    session_idle_s: float = provider_facts.SESSION_IDLE_S
    lock_after: int = provider_facts.FAILED_LOGINS_TO_LOCK
    refused_login: int = 400
    dead_session: DeadSession = "by-cause"
    empty: EmptyForm = "by-version"
    v1_query: QueryForm = "list"
    allow_http: bool = False

    retry_after_min_s: float = provider_facts.RETRY_AFTER_MIN_S
    retry_after_max_s: float = provider_facts.RETRY_AFTER_MAX_S
    duplicate_after_s: float = provider_facts.DUPLICATE_AFTER_S
    give_up_after_s: float = provider_facts.GIVE_UP_AFTER_S
    rotation_lag_s: float = provider_facts.ROTATION_LAG_S
    ca_file: str | None = None
