"""The registrar at work, in a thread of its own: joins, waits until ready, reconciles, deregisters on stop."""

import random
import threading
from collections.abc import Callable, Sequence

import redis
import structlog

from registrar.coordination.heartbeat import Heartbeat
from registrar.coordination.shared import Shared
from registrar.errors import (
    AddressUnknownError,
    NotExclusiveError,
    PausedError,
    RegistrarError,
    StopError,
    StoppingError,
    UnavailableError,
)
from registrar.metrics import Metrics
from registrar.reconcile.deregistration import Answerers, Farewell, Remover
from registrar.reconcile.reconciler import Outcome, Reconciler
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import Client
from registrar.turn import Turn

log = structlog.get_logger("registrar")

# The breaker is asked again so often: that costs no login, and after `unlock` it goes on soon.
BREAKER_LOOK_S = 10.0
BREAKER_REASONS = frozenset(("breaker-open", "login-paced", "account-locked"))
# What was rejected will most likely be rejected again: often enough to notice that it was a mishap.
REJECTED_S = 60.0
# Of the time for leaving: what waiting for a new deployment with another URL may take.
SUCCESSOR_SHARE = 0.6


class Service:
    """Registers from when the listener is ready until told to stop.

    Args:
        settings: checked ones.
        client: for ThingSpace; closed at the end.
        shared: what replicas share.
        heartbeat: renews the lease; it has joined already.
        ready: returns once the listener may be registered, or False if the process is to stop; it
            gets a function that sleeps so many seconds and returns True early in that case.
        answerers: asks a URL which deployments serve it.
        ended: called at the very end, from the thread.
        metrics: counts; nothing if there is none.
    """

    def __init__(
        self,
        settings: RegistrarSettings,
        client: Client,
        shared: Shared,
        heartbeat: Heartbeat,
        *,
        ready: Callable[[Callable[[float], bool]], bool],
        answerers: Answerers,
        ended: Callable[[], None],
        metrics: Metrics | None = None,
    ) -> None:
        """Starts nothing yet."""
        self._settings = settings
        self._client = client
        self._ready = ready
        self._ended = ended
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._over = threading.Event()
        self._due = threading.Event()
        self._turn = Turn(self._stopping.wait, (self._proceed,))
        self._last_turn = Turn(self._abandoned.wait, (self._permit,))
        self._lingers = False
        self._may_have_written = False
        # Whether it ended because the service is set up so that it can never be registered.
        self.failed = False
        self._failures = 0
        self._lease = shared.lease
        self._pauses = shared.pauses
        self._reconciler = Reconciler(settings, client, shared, metrics=metrics)
        remover = Remover(settings, client, shared, answerers, self._reconciler.taken_over)
        self._farewell = Farewell(settings, shared, remover)
        self._heartbeat = heartbeat
        # A daemon: a call that hangs must not keep the process from ending in time.
        self._thread = threading.Thread(target=self._run, name="registrar", daemon=True)

    def withdraw(self) -> None:
        """Leaves the lease at once, where COMMAND could not be started."""
        self._lease.leave()

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, *, drain: bool = False) -> None:
        """Begins the farewell; `ended` tells when it is over.

        Args:
            drain: after a DELETE it ends only once what was sent before it can have come.
        """
        self._drain = drain
        self._stopping.set()
        self._due.set()

    def abort(self) -> None:
        """Ends the farewell: from now on nothing is written any more."""
        self.stop()
        self._abandoned.set()

    @property
    def running(self) -> bool:
        """Whether the farewell is still to come, or under way."""
        return not self._over.is_set()

    def _run(self) -> None:
        try:
            self._heartbeat.start(changed=self._due.set)
            while not self._served():
                if self._stopping.wait(self._backoff(None)):
                    break
            timing = self._settings.timing
            handed_over = self._farewell.wait_for_successor(
                self._last_turn, timing.deregister_s * SUCCESSOR_SHARE
            )
            self._heartbeat.stop()
            removed = self._leave()
            self._client.close()
            # What was sent to our URL before it was replaced may still be on its way.
            if (removed or handed_over) and self._drain:
                self._abandoned.wait(self._settings.timing.drain_s)
        except Exception:
            log.exception("registrar failed")
        finally:
            # Whatever happened: the supervisor waits for this before it tells COMMAND to stop.
            self._over.set()
            self._ended()

    def _served(self) -> bool:
        """Serves until the end, and returns True; False: a mistake of ours came first."""
        try:
            if self._ready(self._stopping.wait):
                log.info("ready")
                self._serve()
        except AddressUnknownError as error:
            log.error("registrar ended", reason=error.reason, detail=error.detail)  # noqa: TRY400
            self.failed = True
        except Exception:
            # It must not take the listener down with it, nor leave it without a registrar.
            log.exception("the registrar failed, and begins anew")
            return False
        return True

    def _serve(self) -> None:
        self._heartbeat.promote()
        self._may_have_written = True
        while not self._stopping.is_set():
            self._due.clear()
            delay = self._tick()
            if not self._stopping.is_set():
                self._due.wait(delay)

    def _leave(self) -> bool:
        """Leaves the lease, and deregisters if that is ours to do; whether anything was deregistered."""
        return self._farewell.say(
            self._last_turn,
            mutex_timeout_s=self._settings.timing.deregister_s / 2,
            may_have_written=self._may_have_written,
        )

    def _tick(self) -> float:
        """One tick; returns the seconds until the next."""
        try:
            with self._reconciler.exclusively(self._turn) as turn:
                if turn.is_fenced:
                    self._keep_pause()
                outcomes = self._reconciler.tick(turn)
        except StoppingError:
            return 0.0
        except PausedError as error:
            # Varied, so that the replicas do not all come at once when it is over.
            return error.left_s + random.uniform(0.05, 1.0)  # noqa: S311
        except NotExclusiveError as error:
            log.info("tick skipped", reason=error.reason)
            return self._backoff(None)
        except redis.RedisError as error:
            log.warning("tick skipped", reason="redis-lost", why=type(error).__name__)
            return self._backoff(None)
        except Exception:
            # A mistake of ours: it must not end the thread, for the next tick may well succeed.
            log.exception("tick failed")
            return self._backoff(None)
        return self._delay(outcomes)

    def _delay(self, outcomes: Sequence[Outcome]) -> float:
        """The seconds until the next tick, by what this one met."""
        errors = [outcome.error for outcome in outcomes if outcome.error]
        if any(error.reason in BREAKER_REASONS for error in errors):
            # Somebody may unlock it, and another replica's login may succeed.
            return min(self._settings.interval_s, BREAKER_LOOK_S)
        passing = [e for e in errors if isinstance(e, UnavailableError | NotExclusiveError)]
        if passing:
            return self._backoff(_longest_wait(passing))
        self._failures = 0
        interval = self._settings.interval_s * random.uniform(0.9, 1.0)  # noqa: S311 (spreads)
        if any(not isinstance(error, StopError) for error in errors):
            return min(interval, REJECTED_S)
        return interval

    def _backoff(self, asked_s: float | None) -> float:
        """Doubling, with jitter, without end; never below what the provider asked for."""
        timing = self._settings.timing
        doubled = timing.first_retry_s * 2.0 ** min(self._failures, 20)
        self._failures += 1
        longest = min(doubled, timing.max_retry_s, self._settings.interval_s)
        return max(longest * random.uniform(0.5, 1.0), asked_s or 0.0)  # noqa: S311

    def _keep_pause(self) -> None:
        """Looks once a tick whether another replica began a pause; only the mutex's holder could begin another."""
        if left_s := self._pauses.left_s():
            raise PausedError(left_s)

    def _proceed(self) -> None:
        """Asks nobody: it precedes every call, and Redis may hang for seconds each time."""
        if self._stopping.is_set():
            # What a tick wrote now, nobody might be left to remove.
            raise StoppingError
        if left_s := self._pauses.own_left_s():
            raise PausedError(left_s)

    def _permit(self) -> None:
        if self._abandoned.is_set():
            raise NotExclusiveError("abandoned", "no more time")


def _longest_wait(errors: Sequence[RegistrarError]) -> float | None:
    asked = [e.retry_after_s for e in errors if isinstance(e, UnavailableError) and e.retry_after_s]
    return max(asked, default=None)
