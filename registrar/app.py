"""Builds the registrar in the order in which its parts depend on each other."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import redis
import structlog

from listener.callback.ownership_probe import QUEUE_ID_VARIABLE
from listener.redis_client.client import connect
from listener.runtime import multiprocess_dir
from listener.runtime.safe_files import allow_owner_access
from listener.server import address_report
from registrar.coordination.heartbeat import Heartbeat
from registrar.coordination.keys import Keys
from registrar.coordination.membership import Card, Lease, new_name, read_roll
from registrar.coordination.mutex import Mutex
from registrar.coordination.pauses import Pauses
from registrar.coordination.shared import Shared
from registrar.coordination.state import Store
from registrar.fan_out import fan_out
from registrar.login_breaker.breaker import LoginBreaker, digest_of
from registrar.login_breaker.stores import FileStore, RedisStore
from registrar.metrics import Metrics, PrometheusMetrics
from registrar.model import canonical
from registrar.process.addresses import ChildAddresses
from registrar.process.child import Child, adopt_orphans
from registrar.process.readiness import wait_for_free_port, wait_until_ready
from registrar.process.signals import Signals, received
from registrar.process.supervisor import CAUGHT, ENDING, WRONG_SETTINGS, Supervisor
from registrar.public_url.probe import Probe
from registrar.reconcile.loop import Service
from registrar.settings import RegistrarSettings
from registrar.thingspace.auth import Tokens
from registrar.thingspace.client import Client
from registrar.thingspace.transport import Transport

log = structlog.get_logger("registrar")

# How long COMMAND's start waits for the lease to be joined.
JOIN_S = 3.0


@dataclass(frozen=True)
class Parts:
    """What a command by hand works with."""

    client: Client
    shared: Shared
    breaker: LoginBreaker


@contextmanager
def parts_of(settings: RegistrarSettings) -> Iterator[Parts]:
    """The parts, while the block runs; ends the session afterwards."""
    keys = Keys(settings.service.queue.namespace)
    with redis_of(settings) as connection:
        breaker = breaker_of(settings, connection, keys)
        client = client_of(settings, breaker)
        try:
            yield Parts(client, shared_of(settings, connection, keys), breaker)
        finally:
            client.close()


def run(settings: RegistrarSettings, argv: Sequence[str]) -> int:
    """Starts COMMAND and the registrar, and returns the exit status when both have ended."""
    allow_owner_access()
    with ExitStack() as stack:
        metrics = stack.enter_context(_counting()) if settings.enabled and argv else None
        signals = stack.enter_context(received(CAUGHT))
        if is_socket_activated(os.environ):
            log.error(
                "systemd's socket activation is not supported",
                advice="remove the .socket unit: COMMAND binds PORT itself",
            )
            return WRONG_SETTINGS
        report = _report_path(stack)
        addresses = ChildAddresses.of(settings.service.port, report, argv, os.environ)
        must_be_free = settings.enabled and argv and not addresses.report_required
        if must_be_free and not _free(settings.service.port, signals):
            return 1
        # All of it is built before COMMAND starts: a mistake in there must leave no COMMAND behind.
        worker, environ = None, dict(os.environ)
        if report:
            environ[address_report.VARIABLE] = str(report)
        if settings.enabled:
            worker, named = _worker(settings, signals, metrics, addresses if argv else None)
            environ |= named
        adopt_orphans()
        try:
            # Before any thread: see Child.start.
            command = Child.start(argv, environ) if argv else None
        except OSError as error:
            log.error("the command cannot be started", command=argv[0], why=error.strerror)  # noqa: TRY400
            if worker:
                worker.withdraw()
            return 1
        if worker:
            worker.start()
        count = metrics.count_lost_lines if metrics else None
        return Supervisor(signals, command, worker, settings.timing, count=count).run()


def is_socket_activated(environ: Mapping[str, str]) -> bool:
    """Whether systemd passes listening sockets to this process; COMMAND, another process, would not get them."""
    return environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "0") != "0"


def _report_path(stack: ExitStack) -> Path | None:
    """Where COMMAND reports its addresses; None: there is no room for a file."""
    try:
        return Path(stack.enter_context(TemporaryDirectory(prefix="fota-run-")), "addresses.json")
    except OSError as error:
        log.warning("no file for the addresses of the command", detail=error.strerror)
        return None


def redis_of(settings: RegistrarSettings) -> "redis.Redis":
    """The registrar's connections to Redis."""
    return connect(
        settings.service.queue.url,
        timeout_s=settings.timing.redis_timeout_s,
        name="fota-registrar",
    )


def client_of(
    settings: RegistrarSettings, breaker: LoginBreaker, metrics: Metrics | None = None
) -> Client:
    """The client of the callback API, with its tokens."""
    transport = Transport(settings.base_url, settings.timing, settings.secrets, metrics)
    return Client(transport, Tokens(transport, settings.credentials, breaker, time.monotonic))


def breaker_of(settings: RegistrarSettings, client: "redis.Redis", keys: Keys) -> LoginBreaker:
    """The login breaker, in a file and in Redis."""
    digest = digest_of(settings.credentials)
    return LoginBreaker((FileStore(settings.state_dir, digest), RedisStore(client, keys, digest)))


def shared_of(settings: RegistrarSettings, client: "redis.Redis", keys: Keys) -> Shared:
    """What the replicas share."""
    url = settings.wanted("v1").url
    card = Card(new_name(), settings.deployment, settings.digest(canonical(url)))
    began = time.monotonic()
    ttl_s = settings.lease_ttl_s
    return Shared(
        mutex=Mutex(client, keys, card.name, ttl_s=settings.mutex_ttl_s),
        lease=Lease(client, keys, card, ttl_s=ttl_s, age_s=lambda: time.monotonic() - began),
        store=Store(
            client,
            keys,
            digest=settings.digest,
            window_s=settings.flap_window_s,
        ),
        pauses=Pauses(client, keys),
        read_roll=lambda: read_roll(client, keys),
    )


@contextmanager
def _counting() -> Iterator[Metrics | None]:
    """What counts in the same folder as COMMAND's processes, which serve the sums; None: no room."""
    if problem := multiprocess_dir.prepare():
        log.error("no metrics: there is no folder for them", detail=problem)
        yield None
        return
    try:
        yield PrometheusMetrics()
    finally:
        multiprocess_dir.clean_up()


def _free(port: int, signals: Signals) -> bool:
    """Whether COMMAND can have its port; tells if it cannot."""
    if wait_for_free_port(port, lambda wait_s: any(n in ENDING for n in signals.wait(wait_s))):
        return True
    log.error("the command is not started: another program listens at PORT", port=port)
    return False


def _worker(
    settings: RegistrarSettings,
    signals: Signals,
    metrics: Metrics | None,
    addresses: ChildAddresses | None,
) -> tuple[Service, dict[str, str]]:
    """The registrar's thread, not started but a member already; and what COMMAND's environment gets of it."""
    client = redis_of(settings)
    keys = Keys(settings.service.queue.namespace)
    shared = shared_of(settings, client, keys)
    heartbeat = Heartbeat(shared.lease, ttl_s=settings.lease_ttl_s)
    queue_id = _join(heartbeat, shared)
    probe = Probe(settings, queue_id)

    def ready(wait: Callable[[float], bool]) -> bool:
        # Standing alone, the listener may be on another machine: then the probe has to do.
        return (
            addresses is None or wait_until_ready(addresses, wait)
        ) and probe.wait_until_allowed(wait)

    service = Service(
        settings,
        client_of(settings, breaker_of(settings, client, keys), metrics),
        shared,
        heartbeat,
        ready=ready,
        answerers=probe.answerers,
        ended=signals.wake,
        metrics=metrics,
    )
    return service, {QUEUE_ID_VARIABLE: queue_id} if queue_id else {}


def _join(heartbeat: Heartbeat, shared: Shared) -> str | None:
    """Joins, and returns the queue's name; None: Redis did not answer in time, and COMMAND starts all the same.

    In a thread: a name server that does not answer has no time limit in Python, and messages must not wait for it.
    """

    def join(_: int) -> str | None:
        try:
            return shared.store.queue_id() if heartbeat.join() else None
        except redis.RedisError as error:
            log.warning("queue not named", why=type(error).__name__)
            return None

    ends = time.monotonic() + JOIN_S
    joined = fan_out(join, (0,), lambda _: time.monotonic() >= ends, at_once=1)
    if not joined:
        log.warning("not a member yet", why="redis does not answer", limit_s=JOIN_S)
    return joined.get(0)
