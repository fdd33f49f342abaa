"""`run`: starts COMMAND and the registrar in the order in which they depend on each other."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis
import structlog

from listener.callback.ownership_probe import QUEUE_ID_VARIABLE
from listener.runtime import multiprocess_dir
from listener.runtime.safe_files import allow_owner_access
from listener.server import address_report
from registrar.app import Registrar, build
from registrar.coordination.coordination import Coordination
from registrar.coordination.keys import Keys
from registrar.fan_out import fan_out
from registrar.metrics import Metrics, PrometheusMetrics
from registrar.process.addresses import ChildAddresses
from registrar.process.child import Child, adopt_orphans, gunicorn_environment
from registrar.process.readiness import is_ready, wait_for_free_port, wait_until_ready
from registrar.process.signals import Signals, received
from registrar.process.supervisor import CAUGHT, ENDING, WRONG_SETTINGS, Supervisor
from registrar.public_url.probe import Probe
from registrar.reconcile.loop import ReconcileLoop
from registrar.reconcile.thread import LoopThread, OtherLoop
from registrar.recovery.gaps import GapWatch, Lost, Rising
from registrar.recovery.loop import NoRecovery, RecoveryLoop
from registrar.recovery.records.store import RedisRecoveryStore
from registrar.settings import RegistrarSettings

log = structlog.get_logger("registrar")

# How long COMMAND's start waits for the lease to be joined.
JOIN_S = 3.0


def run_registrar(settings: RegistrarSettings, argv: Sequence[str]) -> int:
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
        worker, environ = None, settings.service.without_files(os.environ)
        environ |= gunicorn_environment(argv, environ)
        if report:
            environ[address_report.VARIABLE] = str(report)
        if settings.enabled:
            worker, named = _worker(settings, signals, metrics, addresses if argv else None, stack)
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
    """Whether COMMAND's port is free; logs an error if another program listens there."""
    if wait_for_free_port(port, lambda wait_s: any(n in ENDING for n in signals.wait(wait_s))):
        return True
    log.error("the command is not started: another program listens at PORT", port=port)
    return False


def _worker(
    settings: RegistrarSettings,
    signals: Signals,
    metrics: Metrics | None,
    addresses: ChildAddresses | None,
    stack: ExitStack,
) -> tuple[LoopThread, dict[str, str]]:
    """The registrar's thread, not started but a member already; and what COMMAND's environment gets of it."""
    registrar = build(settings, metrics=metrics)
    queue_id = _join(registrar.coordination)
    probe = Probe(settings, queue_id)

    def wait_until_allowed(wait: Callable[[float], bool]) -> bool:
        # Standing alone, the listener may be on another machine: then the probe has to do.
        ready = addresses is None or wait_until_ready(addresses, wait)
        return ready and probe.wait_until_allowed(wait)

    loop = ReconcileLoop(
        settings,
        registrar.client,
        registrar.coordination,
        wait_until_ready=wait_until_allowed,
        answerers=probe.answerers,
        metrics=metrics,
    )
    recovery: OtherLoop
    if settings.recovery == "off":
        recovery = NoRecovery(_recovery_store(registrar))
    else:
        recovery = RecoveryLoop(
            registrar.build_recovery(stack), lambda: _gaps(registrar, metrics, addresses)
        )
    return LoopThread(loop, signals.wake, recovery), {
        QUEUE_ID_VARIABLE: queue_id
    } if queue_id else {}


def _gaps(
    registrar: Registrar, metrics: Metrics | None, addresses: ChildAddresses | None
) -> GapWatch:
    """What may lose messages, as far as this process can notice it."""
    state, slots = registrar.coordination.state, registrar.settings.slots
    checks: dict[str, Callable[[], bool]] = {
        "registration": lambda: any(o and o.loses_messages for o in state.observations(slots)),
    }
    if metrics:
        checks["refusals"] = Rising(metrics.refused_messages)
    if addresses:
        checks["listener-not-ready"] = Lost(lambda: any(map(is_ready, addresses.now())))
    return GapWatch(_recovery_store(registrar), checks)


def _recovery_store(registrar: Registrar) -> RedisRecoveryStore:
    return RedisRecoveryStore(registrar.redis, Keys(registrar.settings.service.queue.namespace))


def _join(coordination: Coordination) -> str | None:
    """Joins, and returns the queue's name; None: Redis did not answer in time, and COMMAND starts all the same.

    In a thread: a name server that does not answer has no time limit in Python, and messages must not wait for it.
    """

    def join(_: int) -> str | None:
        try:
            return coordination.state.queue_id() if coordination.heartbeat.join() else None
        except redis.RedisError as error:
            log.warning("queue not named", why=type(error).__name__)
            return None

    ends = time.monotonic() + JOIN_S
    joined = fan_out(join, (0,), lambda _: time.monotonic() >= ends, at_once=1)
    if not joined:
        log.warning("not a member yet", why="redis does not answer", limit_s=JOIN_S)
    return joined.get(0)
