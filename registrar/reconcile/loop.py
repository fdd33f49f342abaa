"""The reconcile loop: waits until ready, joins, reconciles periodically, deregisters on stop."""

import random
import threading
import time
from collections.abc import Callable

import redis
import structlog

from registrar.coordination.coordination import Coordination
from registrar.errors import (
    AddressUnknownError,
    NotExclusiveError,
    PausedError,
    StoppingError,
)
from registrar.metrics import Metrics
from registrar.reconcile.answer_cache import Answerers
from registrar.reconcile.deregistration import Deregistrar
from registrar.reconcile.pacing import Pacing
from registrar.reconcile.reconciler import Reconciler
from registrar.reconcile.shutdown import Shutdown
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import CallbackClient
from registrar.turn import Turn

log = structlog.get_logger("registrar")

# The part of the time for deregistering that waiting for a new deployment with another URL may take.
SUCCESSOR_SHARE = 0.6


class ReconcileLoop:
    """Registers from when the listener is ready until it is stopped. Its steps can be called one by one.

    Args:
        settings: checked ones.
        client: of the callback API; closed at the end.
        coordination: what replicas share; this process has joined already, as a candidate.
        wait_until_ready: returns once the listener may be registered, or False if the process is to stop; it
            gets a function that sleeps that many seconds and returns True early in that case.
        answerers: asks a URL which deployments serve it.
        metrics: counts; nothing if there is none.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        settings: RegistrarSettings,
        client: CallbackClient,
        coordination: Coordination,
        *,
        wait_until_ready: Callable[[Callable[[float], bool]], bool],
        answerers: Answerers,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timing = settings.timing
        self._client = client
        self._coordination = coordination
        self._wait_until_ready = wait_until_ready
        self._stopping = threading.Event()
        self._aborted = threading.Event()
        self._wake = threading.Event()
        coordination.heartbeat.subscribe(self._wake.set)
        self._turn = Turn(self._stopping.wait, (self._check_not_stopping, self._check_own_pause))
        self._last_turn = Turn(self._aborted.wait, (self._check_not_aborted,))
        self._drain = False
        self._may_have_written = False
        # Whether the service is set up in a way that it can never be registered.
        self.failed = False
        self._pacing = Pacing(settings)
        self._reconciler = Reconciler(settings, client, coordination, clock, metrics)
        deregistrar = Deregistrar(
            settings, client, coordination, answerers, self._reconciler.replaced
        )
        self._shutdown = Shutdown(settings, coordination, deregistrar)

    def stop(self, *, drain: bool = False) -> None:
        """Begins the shutdown.

        Args:
            drain: after a DELETE, goes on until what was sent before it can have come.
        """
        self._drain = drain
        self._stopping.set()
        self._wake.set()

    def abort(self) -> None:
        """Ends the shutdown: from now on nothing is written any more."""
        self.stop()
        self._aborted.set()

    def withdraw(self) -> None:
        """Leaves at once, where COMMAND could not be started."""
        self._coordination.lease.leave()

    def run(self) -> None:
        """Does it all, from start to shutdown; returns after `stop`."""
        self._coordination.heartbeat.start()
        while not self.run_once():
            if self._stopping.wait(self._pacing.backoff()):
                break
        self.shut_down()

    def run_once(self) -> bool:
        """Reconciles until stopped, and returns True; False: a mistake of ours came first."""
        try:
            if self.begin():
                self._reconcile_until_stopped()
        except AddressUnknownError as error:
            log.error("registrar ended", reason=error.reason, detail=error.detail)  # noqa: TRY400
            self.failed = True
        except Exception:
            # It must not take the listener down with it, nor leave it without a registrar.
            log.exception("the registrar failed, and begins anew")
            return False
        return True

    def begin(self) -> bool:
        """Waits until the listener may be registered, and makes this candidate a member that reconciles.

        Returns False if the process is to stop.
        """
        if not self._wait_until_ready(self._stopping.wait):
            return False
        log.info("ready")
        self._coordination.heartbeat.promote()
        self._may_have_written = True
        return True

    def tick(self) -> float:
        """One tick; returns the seconds until the next."""
        try:
            with self._reconciler.exclusively(self._turn) as turn:
                if turn.is_fenced:
                    self._check_shared_pause()
                results = self._reconciler.tick(turn)
        except StoppingError:
            return 0.0
        except PausedError as error:
            # Varied, so that the replicas do not all come at once when it is over.
            return error.left_s + random.uniform(0.05, 1.0)  # noqa: S311
        except NotExclusiveError as error:
            log.info("tick skipped", reason=error.reason)
            return self._pacing.backoff()
        except redis.RedisError as error:
            log.warning("tick skipped", reason="redis-lost", why=type(error).__name__)
            return self._pacing.backoff()
        except Exception:
            # A mistake of ours: it must not end the thread, for the next tick may well succeed.
            log.exception("tick failed")
            return self._pacing.backoff()
        return self._pacing.delay([result.error for result in results if result.error])

    def shut_down(self) -> None:
        """Leaves, and deregisters if it is up to this process; ends the session, and drains if something was removed."""
        handed_over = self._shutdown.wait_for_successor(
            self._last_turn, self._timing.deregister_s * SUCCESSOR_SHARE
        )
        self._coordination.heartbeat.stop()
        deregistered = self._shutdown.run(
            self._last_turn,
            mutex_timeout_s=self._timing.deregister_s / 2,
            may_have_written=self._may_have_written,
        )
        self._client.close()
        # What was sent to our URL before it was replaced may still be on its way.
        if (deregistered or handed_over) and self._drain:
            self._aborted.wait(self._timing.drain_s)

    def _reconcile_until_stopped(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            delay_s = self.tick()
            if not self._stopping.is_set():
                self._wake.wait(delay_s)

    def _check_shared_pause(self) -> None:
        """Asks Redis, once a tick, whether another replica began a pause; only the mutex's holder could begin another."""
        if left_s := self._coordination.pauses.left_s():
            raise PausedError(left_s)

    def _check_not_stopping(self) -> None:
        if self._stopping.is_set():
            # If a tick wrote now, nobody might be left to deregister it.
            raise StoppingError

    def _check_own_pause(self) -> None:
        """Does not ask Redis: it precedes every call, and Redis may hang for seconds each time."""
        if left_s := self._coordination.pauses.own_left_s():
            raise PausedError(left_s)

    def _check_not_aborted(self) -> None:
        if self._aborted.is_set():
            raise NotExclusiveError("abandoned", "no more time")
