"""One tick: look at the world, plan, and write if need be, for each account and version by itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import redis
import structlog

from registrar.coordination.mutex import Hold
from registrar.coordination.shared import Shared, observer_of
from registrar.coordination.takeovers import Takeovers
from registrar.errors import (
    NotExclusiveError,
    RegistrarError,
    RejectedError,
    StopError,
    StoppingError,
    UnavailableError,
    failure_of,
)
from registrar.metrics import Metrics
from registrar.model import Desired, Registration, Slot
from registrar.observation import Observation, following
from registrar.plan import Action, Context, plan
from registrar.reconcile.observation_log import tell
from registrar.reconcile.verification import Doubts
from registrar.settings import RegistrarSettings
from registrar.thingspace.client import Client, Permit

log = structlog.get_logger("registrar")

Wait = Callable[[float], bool]

# The provider, or the way to it, is what fails if that many slots in a row cannot be asked.
FAILING_SLOTS = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one slot in a tick."""

    observation: Observation
    error: RegistrarError | None = None


@dataclass(frozen=True)
class Look:
    """How one tick goes about it.

    Attributes:
        client: asks and writes.
        signed_out: why it cannot; found once for all slots, because a login may count.
        hold: the mutex; None without Redis.
        superseded: whether a deployment of the namespace that joined later is alive.
        before: called before everything that is sent.
        force: take over whatever is registered.
    """

    client: Client
    signed_out: RegistrarError | None
    hold: Hold | None
    superseded: bool
    before: Permit
    force: bool


class CommonFailure:
    """Finds out, while slot after slot is asked, whether what fails is the provider or the way to it.

    Attributes:
        error: what then fails for the rest as well, so that it need not be asked; None: so far nothing.
    """

    def __init__(self, error: RegistrarError | None) -> None:
        self.error = error
        self._in_a_row = 0

    def note(self, error: RegistrarError | None) -> None:
        """Takes what became of one slot."""
        self._in_a_row = self._in_a_row + 1 if isinstance(error, UnavailableError) else 0
        if error and (self._in_a_row >= FAILING_SLOTS or _concerns_all(error)):
            self.error = error


class Reconciler:
    """Makes registrations what they should be. One tick at a time.

    Guaranteed: a tick that finds all as desired writes nothing to ThingSpace. A write happens under
    the mutex, unless Redis cannot be reached: then it happens without, because a registration that
    is missing loses messages and one that is written twice does not.
    """

    def __init__(
        self,
        settings: RegistrarSettings,
        client: Client,
        shared: Shared,
        clock: Callable[[], float] = time.monotonic,
        metrics: Metrics | None = None,
    ) -> None:
        """Asks nobody anything yet; the clock counts monotonic seconds."""
        self._metrics = metrics or Metrics()
        self.settings = settings
        self.shared = shared
        self._client = client
        self._observer = observer_of(settings, shared)
        self._booted: set[Slot] = set()
        self._failed: set[Slot] = set()
        self._last: dict[Slot, Observation] = {}
        self._alone = False
        self._taken_over: dict[Slot, Registration | None] = {}
        self._doubts = Doubts(clock)
        self._takeovers = Takeovers(
            shared.store,
            shared.lease.card.deployment,
            window_s=settings.flap_window_s,
            clock=clock,
        )

    def tick(
        self,
        wait: Wait,
        *,
        begin: Permit = lambda: None,
        permit: Permit = lambda: None,
        force: bool = False,
    ) -> list[Outcome]:
        """Reconciles every slot.

        Args:
            wait: sleeps so many seconds, and returns True early if the process is to stop.
            begin: called once, when the mutex is held, and not without Redis: it may ask Redis; raises likewise.
            permit: called before everything that is sent; raises StoppingError, or at first PausedError, to
                end the tick there.
            force: take over whatever is registered, because a person says so.

        Raises:
            NotExclusiveError: another process held the mutex for as long as a tick may take.
            StoppingError, PausedError: `begin` or `permit` said so.
        """
        client = self._client.patient(wait)
        with self._hold(wait) as hold:

            def before() -> None:
                permit()
                if hold:
                    # Reading too: many slow answers together may take longer than the mutex lasts.
                    hold.confirm()

            if hold:
                begin()
            permit()
            signed_out = failure_of(lambda: client.tokens.current(before))
            superseded = self._is_superseded(hold)
            outcomes = self._visit(Look(client, signed_out, hold, superseded, before, force))
            self._pause(outcomes)
            return outcomes

    def _visit(self, look: Look) -> list[Outcome]:
        """Reconciles slot after slot; after a failure that concerns all of them the rest is not asked.

        Those that failed come last in the next tick, so that they do not stand in the others' way.
        """
        found: dict[Slot, Outcome] = {}
        common = CommonFailure(look.signed_out)
        for slot in sorted(self._slots, key=self._failed.__contains__):
            asked = common.error is None
            found[slot] = self._outcome(slot, replace(look, signed_out=common.error))
            error = found[slot].error
            common.note(error)
            if asked and isinstance(error, UnavailableError):
                self._failed.add(slot)
            elif asked:
                self._failed.discard(slot)
        return [found[slot] for slot in self._slots]

    def _pause(self, outcomes: Sequence[Outcome]) -> None:
        """Keeps away from a provider that throttles or fails, and so do the other replicas."""
        errors = [one.error for one in outcomes if isinstance(one.error, UnavailableError)]
        if errors:
            self.shared.pauses.begin(*errors)
        else:
            self.shared.pauses.end()

    def taken_over(self, slot: Slot) -> Registration | None:
        """What this process replaced in a slot last, written by somebody outside the namespace."""
        return self._taken_over.get(slot)

    @property
    def _slots(self) -> tuple[Slot, ...]:
        return self.settings.slots

    @contextmanager
    def _hold(self, wait: Wait) -> Iterator[Hold | None]:
        """The mutex; None, and a word in the log, if there is no Redis to keep it."""
        held = self.shared.mutex.held(wait, for_at_most_s=self.settings.lease_ttl_s)
        with ExitStack() as stack:
            hold = None
            try:
                hold = stack.enter_context(held)
            except redis.RedisError as error:
                if not self._alone:
                    why = _name(error)
                    log.warning("without redis", does="registers, never deregisters", why=why)
            self._alone = hold is None
            yield hold

    def _outcome(self, slot: Slot, look: Look) -> Outcome:
        desired = self.settings.desired(slot)
        fights = 0
        error: RegistrarError | None = None
        try:
            seen, fights = self._reconcile(slot, desired, look)
            self._booted.add(slot)
        except StoppingError:
            raise
        except RegistrarError as failure:
            seen, error = self._observer.failed(slot, desired, failure), failure
        except redis.RedisError as failure:
            error = NotExclusiveError("redis-lost", _name(failure))
            seen = self._observer.failed(slot, desired, error)
        except Exception as failure:
            # Of ours, and told in full; the other slots are reconciled all the same.
            log.exception("slot not reconciled", account=slot.account, version=slot.version)
            error = RejectedError("mistake", _name(failure))
            seen = self._observer.failed(slot, desired, error)
        return Outcome(self._note(seen, look, fights), error)

    def _reconcile(self, slot: Slot, desired: Desired, look: Look) -> tuple[Observation, int]:
        """Returns what was seen, and how often this deployment took over lately."""
        if look.signed_out:
            raise look.signed_out
        found = look.client.query(slot, before=look.before)
        context = self._context(slot, found, look)
        action = plan(desired, found, context)
        if look.force and action.kind == "yield":
            action = Action("register", "by-hand")
        elif action.kind == "register":
            self._doubts.check(slot, found)
        left = found
        if action.kind == "register":
            left = self._register(slot, desired, found, action, look)
        fights = context.takeovers + action.contested
        return self._observer.saw(slot, desired, found, left, action, fights=fights), fights

    def _register(
        self,
        slot: Slot,
        desired: Desired,
        found: Registration | None,
        action: Action,
        look: Look,
    ) -> Registration | None:
        wanted = desired.registration
        look.client.register(slot, wanted, before=look.before)
        left = look.client.query(slot, before=look.before)
        self._doubts.verify(slot, wanted, left)
        if action.contested:
            self._taken_over[slot] = found
            self._takeovers.note(slot, look.hold)
        return left

    def _is_superseded(self, hold: Hold | None) -> bool:
        if hold is None:
            return False
        shared = self.shared
        try:
            return shared.read_roll().supersedes(shared.lease.card.deployment)
        except redis.RedisError as error:
            raise NotExclusiveError("redis-lost", _name(error)) from error

    def _context(self, slot: Slot, found: Registration | None, look: Look) -> Context:
        hold, policy = look.hold, self.settings.takeover
        boot = slot not in self._booted
        if hold is None:
            return Context(policy, boot, takeovers=self._takeovers.count(slot, hold))
        return Context(
            policy,
            boot,
            superseded=look.superseded,
            sibling=found is not None and self.shared.store.is_family(found.url),
            takeovers=self._takeovers.count(slot, hold),
        )

    def _note(self, seen: Observation, look: Look, fights: int) -> Observation:
        """Logs what changed, and stores what was seen if Redis is there.

        A superseded deployment stores nothing: its "not ours" would hide from the page, the alerts and `status --stored`
        that the newer deployment is registered.
        """
        hold = look.hold
        age = self._client.tokens.age_s()
        seen = replace(
            seen,
            fence=hold.token if hold else 0,
            token_age_s=age and round(age, 1),
            interval_s=self.settings.interval_s,
        )
        before = self._last.get(seen.slot)
        try:
            before = self.shared.store.observation(seen.slot) if hold else before
            seen = following(seen, before, fights=fights)
            if hold and not look.superseded:
                self.shared.store.observe(seen)
        except redis.RedisError as error:
            log.warning("observation not stored", why=_name(error))
        tell(seen, self._last.get(seen.slot))
        self._metrics.reconciled(seen, before)
        self._last[seen.slot] = seen
        return seen


def _concerns_all(error: RegistrarError) -> bool:
    """Whether the next slot would fail in the same way, or must not be asked."""
    throttled = isinstance(error, UnavailableError) and error.reason == "throttled"
    return throttled or isinstance(error, StopError) or error.reason.startswith("login-")


def _name(error: Exception) -> str:
    return type(error).__name__
