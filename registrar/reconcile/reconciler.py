"""One tick: look at the world, plan, and write if need be, for each account and version by itself."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import redis
import structlog

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
from registrar.thingspace.client import Client
from registrar.turn import Turn

log = structlog.get_logger("registrar")

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
        turn: asked before every request; unfenced without Redis.
        signed_out: why nothing can be sent; found once for all slots, because a login may count.
        superseded: whether a deployment of the namespace that joined later is alive.
        force: take over whatever is registered.
    """

    turn: Turn
    signed_out: RegistrarError | None
    superseded: bool
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

    @contextmanager
    def exclusively(self, turn: Turn) -> Iterator[Turn]:
        """The turn under the mutex; the same turn, unfenced, and a line in the log, without Redis.

        Raises:
            NotExclusiveError: another process held the mutex for as long as a tick may take.
        """
        held = self.shared.mutex.hold(turn, timeout_s=self.settings.lease_ttl_s)
        with ExitStack() as stack:
            try:
                turn = turn.under(stack.enter_context(held))
            except redis.RedisError as error:
                if not self._alone:
                    why = _name(error)
                    log.warning("without redis", does="registers, never deregisters", why=why)
            self._alone = not turn.is_fenced
            yield turn

    def tick(self, turn: Turn, *, force: bool = False) -> list[Outcome]:
        """Reconciles every slot.

        Args:
            turn: of `exclusively`; its checks may raise StoppingError, or at first PausedError, to end the tick.
            force: take over whatever is registered, because a person says so.

        Raises:
            NotExclusiveError: Redis was lost before the first request.
            StoppingError, PausedError: the turn says so.
        """
        turn.check()
        signed_out = failure_of(lambda: self._client.tokens.current(turn))
        superseded = self._is_superseded(turn)
        outcomes = self._visit(Look(turn, signed_out, superseded, force))
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
        found = self._client.query(slot, look.turn)
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
        self._client.register(slot, wanted, look.turn)
        left = self._client.query(slot, look.turn)
        self._doubts.verify(slot, wanted, left)
        if action.contested:
            self._taken_over[slot] = found
            self._takeovers.note(slot, look.turn)
        return left

    def _is_superseded(self, turn: Turn) -> bool:
        if not turn.is_fenced:
            return False
        shared = self.shared
        try:
            return shared.read_roll().supersedes(shared.lease.card.deployment)
        except redis.RedisError as error:
            raise NotExclusiveError("redis-lost", _name(error)) from error

    def _context(self, slot: Slot, found: Registration | None, look: Look) -> Context:
        policy, boot = self.settings.takeover, slot not in self._booted
        takeovers = self._takeovers.count(slot, look.turn)
        if not look.turn.is_fenced:
            return Context(policy, boot, takeovers=takeovers)
        return Context(
            policy,
            boot,
            superseded=look.superseded,
            sibling=found is not None and self.shared.store.is_family(found.url),
            takeovers=takeovers,
        )

    def _note(self, seen: Observation, look: Look, fights: int) -> Observation:
        """Logs what changed, and stores what was seen if Redis is there.

        A superseded deployment stores nothing: its "not ours" would hide from the page, the alerts and `status --stored`
        that the newer deployment is registered.
        """
        is_fenced = look.turn.is_fenced
        age = self._client.tokens.age_s()
        seen = replace(
            seen,
            fence=look.turn.fencing_token,
            token_age_s=age and round(age, 1),
            interval_s=self.settings.interval_s,
        )
        before = self._last.get(seen.slot)
        try:
            before = self.shared.store.observation(seen.slot) if is_fenced else before
            seen = following(seen, before, fights=fights)
            if is_fenced and not look.superseded:
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
