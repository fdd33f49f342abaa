"""Builds the registrar once, for `run` and for the commands by hand. Nothing runs on import."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import redis

from listener.redis_client.client import connect
from listener.registration_state import Observation
from registrar.coordination.coordination import Coordination
from registrar.coordination.keys import Keys
from registrar.login_breaker.breaker import LoginBreaker, digest_of
from registrar.login_breaker.stores import FileStore, RedisStore
from registrar.metrics import Metrics
from registrar.reconcile import manual
from registrar.settings import RegistrarSettings
from registrar.status import Report, collect
from registrar.thingspace.auth import Authenticator
from registrar.thingspace.client import CallbackClient
from registrar.thingspace.transport import Transport

if TYPE_CHECKING:
    from registrar.recovery.service import Recovery


@dataclass(frozen=True)
class Registrar:
    """All that registers. As a context manager it ends the session and closes Redis's connections.

    Attributes:
        settings: checked ones.
        client: of the callback API.
        coordination: what replicas share.
        breaker: of logins.
    """

    settings: RegistrarSettings
    client: CallbackClient
    coordination: Coordination
    breaker: LoginBreaker
    redis: "redis.Redis"
    metrics: Metrics | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()
        self.redis.close()

    def register(self) -> list[Observation]:
        """Registers every slot, also in place of another owner's URL. Raises NotExclusiveError."""
        return manual.register(self.settings, self.client, self.coordination)

    def deregister(self) -> list[Observation]:
        """Deregisters every registration that is ours. Raises NotExclusiveError."""
        return manual.deregister(self.settings, self.client, self.coordination)

    def status(self, *, stored: bool) -> Report:
        """What is registered: by the last tick if `stored`, else by asking ThingSpace."""
        query = None if stored else self.query
        return collect(self.settings, self.coordination, self.breaker, query)

    @contextmanager
    def recovery(self) -> "Iterator[Recovery]":
        """What finds messages that never came; closes its connections at the end of the block."""
        with ExitStack() as stack:
            yield self.build_recovery(stack)

    def build_recovery(self, stack: ExitStack) -> "Recovery":
        """The same; `stack` closes its connections."""
        # Much of the listener's queue: the other commands do not wait for it.
        from registrar.recovery.build import build_recovery  # noqa: PLC0415

        shared = (self.settings, self.redis, self.coordination, self.client.authenticator)
        return build_recovery(*shared, metrics=self.metrics, stack=stack)

    def query(self) -> list[Observation]:
        """Asks ThingSpace about every slot, and changes nothing."""
        return manual.query(self.settings, self.client, self.coordination)


def build(
    settings: RegistrarSettings,
    *,
    metrics: Metrics | None = None,
    client: "redis.Redis | None" = None,
    transport: Transport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Registrar:
    """Builds the registrar; asks neither Redis nor ThingSpace.

    Args:
        settings: checked ones.
        metrics: counts; nothing if there is none.
        client: of Redis; by default one that connects as the settings say.
        transport: sends to ThingSpace; by default as the settings say.
        clock: returns monotonic seconds.
    """
    client = client or connect(
        settings.service.queue.url,
        timeout_s=settings.timing.redis_timeout_s,
        name="fota-registrar",
    )
    digest = digest_of(settings.credentials)
    keys = Keys(settings.service.queue.namespace)
    breaker = LoginBreaker(
        (FileStore(settings.state_dir, digest), RedisStore(client, keys, digest))
    )
    transport = transport or Transport(
        settings.base_url, settings.timing, settings.secrets, metrics
    )
    authenticator = Authenticator(transport, settings.credentials, breaker, clock)
    return Registrar(
        settings=settings,
        client=CallbackClient(transport, authenticator),
        coordination=Coordination.build(settings, client, clock),
        breaker=breaker,
        redis=client,
        metrics=metrics,
    )
