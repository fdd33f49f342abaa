"""Leaving: the last member to leave deregisters, if the URL is provably ours and nobody else serves it."""

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

import redis
import structlog

from registrar.coordination.shared import Shared, observer_of
from registrar.errors import (
    AuthExpiredError,
    NotExclusiveError,
    RegistrarError,
    RejectedError,
    UnavailableError,
)
from registrar.fan_out import fan_out
from registrar.model import Registration, Slot
from registrar.observation import Observation, following
from registrar.plan import Action, plan_farewell
from registrar.public_url.probe import Answerer
from registrar.reconcile.observation_log import tell_farewell
from registrar.settings import Deregister, RegistrarSettings
from registrar.thingspace.client import ATTEMPTS, Client, worth_retrying
from registrar.turn import Turn

log = structlog.get_logger("registrar")

# Calls to ThingSpace at once: twenty accounts at half a second a call are through in a quarter of the time limit.
CONCURRENT_SLOTS = 8
SUCCESSOR_POLL_S = 0.25
# Before another attempt at a DELETE, if the provider asks for no longer pause.
RETRY_S = 0.5

# Who answers a nonce at a URL.
Answerers = Callable[[str], Collection[Answerer]]
# What this process replaced in a slot, written by somebody outside the namespace.
TakenOver = Callable[[Slot], Registration | None]


def _nobody(_url: str) -> Collection[Answerer]:
    return ()


def _nothing_taken(_slot: Slot) -> None:
    return None


class _AskedOnce:
    """Asks each URL once, however many slots have it and however many threads want to know.

    A URL that hangs takes its three seconds once, and not once for each account.
    """

    def __init__(self, answerers: Answerers) -> None:
        self._answerers = answerers
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._found: dict[str, Collection[Answerer]] = {}

    def __call__(self, url: str) -> Collection[Answerer]:
        with self._lock:
            lock = self._locks.setdefault(url, threading.Lock())
        with lock:
            if url not in self._found:
                self._found[url] = self._answerers(url)
            return self._found[url]


Removal = tuple[Registration | None, Action, Registration | None]
"""What was there, what was done about it, and what is left."""


class Remover:
    """Removes registrations that are ours, looks whether they are gone, and logs what it did."""

    def __init__(
        self,
        settings: RegistrarSettings,
        client: Client,
        shared: Shared,
        answerers: Answerers = _nobody,
        taken_over: TakenOver = _nothing_taken,
    ) -> None:
        """Asks nobody anything yet.

        Args:
            settings: checked ones.
            client: of the callback API.
            shared: what replicas share.
            answerers: asks a URL which deployments serve it.
            taken_over: what this process replaced.
        """
        self._answerers = answerers
        self._taken_over = taken_over
        self._settings = settings
        self._client = client
        self._store = shared.store
        self._observer = observer_of(settings, shared)

    def remove_all(self, turn: Turn, *, members: int, policy: Deregister) -> list[Observation]:
        """Removes the registration of every slot that is ours, several at a time, each by itself.

        Args:
            turn: asked before every request; what is not done when its time is over is logged and left.
            members: how many members remain.
            policy: `REGISTRAR_DEREGISTER`, or `always` by hand.
        """
        answerers = _AskedOnce(self._answerers)

        def remove(slot: Slot) -> Observation:
            done = self._remove(slot, turn, answerers, policy=policy)
            return self._note(done, turn, members)

        slots = self._settings.slots
        done = fan_out(remove, slots, turn.sleep, at_once=CONCURRENT_SLOTS)
        for slot in slots:
            if slot not in done:
                log.error(
                    "not deregistered", account=slot.account, version=slot.version, reason="no-time"
                )
        return [done[slot] for slot in slots if slot in done]

    def _remove(
        self,
        slot: Slot,
        turn: Turn,
        answerers: Answerers,
        *,
        policy: Deregister,
    ) -> Observation:
        desired = self._settings.desired(slot)

        def make(found: Registration | None, *, gives_back: bool = True) -> Action:
            action = plan_farewell(desired, found)
            if action.kind != "deregister" or found is None or policy == "always":
                return action
            spared = self._spare(slot, found, answerers)
            return (
                action
                if spared is None or (spared.kind == "register" and not gives_back)
                else spared
            )

        try:
            found, action, left = self._take_down(slot, turn, make)
        except RegistrarError as error:
            return self._observer.failed(slot, desired, error)
        return self._observer.parted(slot, desired, found, left, action)

    def _spare(self, slot: Slot, found: Registration, answerers: Answerers) -> Action | None:
        """What to do instead of a DELETE, which would leave somebody's messages without a receiver; None: nothing."""
        if "other" in answerers(found.url):
            return Action("yield", "served-by-others")
        taken = self._taken_over(slot)
        # A URL that leads to ourselves leads to nobody once this process has ended.
        if taken and "other" in answerers(taken.url):
            return Action("register", "given-back")
        return None

    def _take_down(
        self,
        slot: Slot,
        turn: Turn,
        make: Callable[..., Action],
        attempts: int = ATTEMPTS,
    ) -> Removal:
        """Deregisters or gives back, if the plan says so.

        A DELETE that failed may have been carried out, and somebody else may have registered since: so
        each further attempt looks and plans anew. So it does where the provider refuses what is given back.
        """
        found = self._client.query(slot, turn)
        action = make(found)
        if action.kind == "register" and (taken := self._taken_over(slot)):
            try:
                self._client.register(slot, taken, turn)
            except (RejectedError, AuthExpiredError) as error:
                log.warning("not given back", account=slot.account, why=error.reason)
                delete = partial(make, gives_back=False)
                return self._take_down(slot, turn, delete, attempts)
            return found, action, self._client.query(slot, turn)
        if action.kind != "deregister":
            return found, action, found
        try:
            self._client.deregister(slot, turn)
        except UnavailableError as error:
            pause_s = error.retry_after_s or RETRY_S
            if attempts == 1 or not worth_retrying(error) or turn.sleep(pause_s):
                raise
            again = self._take_down(slot, turn, make, attempts - 1)
            # Nothing is there any more: the attempt was carried out after all.
            return (found, action, None) if again[0] is None else again
        return found, action, self._client.query(slot, turn)

    def _note(self, seen: Observation, turn: Turn, members: int) -> Observation:
        tell_farewell(seen)
        # What is left as it is the members that remain see for themselves, and a newer deployment sees it as its own.
        if turn.is_fenced and (not members or seen.result == "deregistered"):
            seen = replace(seen, fence=turn.fencing_token, contender=None)
            try:
                seen = following(seen, self._store.observation(seen.slot), fights=0)
                self._store.observe(seen)
            except redis.RedisError as error:
                log.warning("observation not stored", why=type(error).__name__)
        return seen


class Farewell:
    """Leaves the lease, and deregisters as `REGISTRAR_DEREGISTER` says. Nothing in it raises.

    Leaving happens under the mutex too: a new member that joins after the count must wait with its
    first tick until the last of the old ones is through, and then finds the registration gone and
    makes it again. Without Redis nobody can know who else is there, so nothing is deregistered.
    """

    def __init__(self, settings: RegistrarSettings, shared: Shared, remover: Remover) -> None:
        """Takes what a tick takes."""
        self._settings = settings
        self._store = shared.store
        self._read_roll = shared.read_roll
        self._policy = settings.deregister
        self._mutex = shared.mutex
        self._lease = shared.lease
        self._remover = remover

    def say(self, turn: Turn, *, mutex_timeout_s: float, may_have_written: bool = True) -> bool:
        """Leaves, and deregisters if that is this process's to do; whether anything was deregistered or given back.

        Args:
            turn: asked before every request; raises NotExclusiveError if there is no more time.
            mutex_timeout_s: how long to wait for the mutex.
            may_have_written: whether this process ever came as far as registering. If not, it deregisters only what
                another member left to it: a COMMAND that dies at each start costs no login.
        """
        if self._policy == "never":
            log.info("not deregistered", reason="policy", members=self._lease.leave())
            return False
        try:
            with self._mutex.hold(turn, timeout_s=mutex_timeout_s) as held:
                return self._leave(turn.under(held), may_have_written=may_have_written)
        except redis.RedisError as error:
            log.warning("not deregistered", reason="without-redis", why=type(error).__name__)
        except NotExclusiveError as error:
            log.warning("not deregistered", reason=error.reason, members=self._lease.leave())
        return False

    def _leave(self, turn: Turn, *, may_have_written: bool) -> bool:
        members = self._lease.leave()
        if members is None:
            log.warning("not deregistered", reason="without-redis")
            return False
        if members and self._policy == "last":
            log.info("not deregistered", reason="members-remain", members=members)
            return False
        if not (may_have_written or self._was_left_to_us()):
            log.info("not deregistered", reason="nothing-registered")
            return False
        seen = self._remover.remove_all(turn, members=members, policy=self._policy)
        return any(each.result == "deregistered" or each.reason == "given-back" for each in seen)

    def wait_for_successor(self, turn: Turn, timeout_s: float) -> bool:
        """Waits until a deployment with another URL that only starts can register it; whether it can now.

        An orchestrator ends the old replicas at the first 200 of the new one's `/readyz`. While its probe holds up the
        writing, messages still go to our URL, so somebody has to receive them there. Nothing in it raises.
        """
        card, waited_s = self._lease.card, 0.0
        try:
            if not self._read_roll().are_candidates_elsewhere(card):
                return False
            log.info("waiting for the new deployment to register")
            while waited_s < timeout_s and self._read_roll().are_candidates_elsewhere(card):
                if turn.sleep(SUCCESSOR_POLL_S):
                    return False
                waited_s += SUCCESSOR_POLL_S
            return not self._read_roll().are_candidates_elsewhere(card)
        except redis.RedisError as error:
            log.warning("successor unknown", why=type(error).__name__)
            return False

    def _was_left_to_us(self) -> bool:
        """Whether the last look of any member, also of one that was killed, found a URL of ours."""
        observations = self._store.observations(self._settings.slots)
        return any(seen is not None and seen.ours is not False for seen in observations)
