"""Leaving: whoever leaves last takes the registration along, if it is provably ours."""

from collections.abc import Callable
from dataclasses import replace

import redis
import structlog

from registrar.client import ATTEMPTS, Client, Permit, worth_retrying
from registrar.errors import NotAloneError, RegistrarError, UnavailableError
from registrar.mutex import Hold
from registrar.observation import Observation, following
from registrar.plan import Action, plan_farewell
from registrar.protocol import Registration, Slot
from registrar.reconcile import Wait
from registrar.settings import Deregister, Settings
from registrar.shared import Shared, observer_of
from registrar.telling import tell_farewell

log = structlog.get_logger("registrar")


class Remover:
    """Removes registrations that are ours, looks whether they are gone, and tells what it did."""

    def __init__(self, settings: Settings, client: Client, shared: Shared) -> None:
        """Asks nobody anything yet."""
        self._settings = settings
        self._client = client
        self._store = shared.store
        self._observer = observer_of(settings, shared)

    def remove_all(
        self,
        wait: Wait,
        permit: Permit,
        hold: Hold | None,
        *,
        members: int,
        policy: Deregister,
    ) -> list[Observation]:
        """Removes the registration of every slot that is ours, each by itself.

        Args:
            wait: sleeps so many seconds, and returns True early if there is no more time.
            permit: called before every write; raises NotAloneError if it must not happen.
            hold: the mutex, if it is held.
            members: how many members remain.
            policy: `REGISTRAR_DEREGISTER`, or `always` by hand.
        """
        client = self._client.patient(wait)

        def before() -> None:
            permit()
            if hold:
                hold.confirm()

        seen = []
        for slot in self._settings.slots:
            done = self._remove(slot, client, before, members=members, policy=policy)
            seen.append(self._note(done, hold, members))
        return seen

    def _remove(
        self,
        slot: Slot,
        client: Client,
        before: Permit,
        *,
        members: int,
        policy: Deregister,
    ) -> Observation:
        desired = self._settings.desired(slot)

        def make(found: Registration | None) -> Action:
            return plan_farewell(desired, found, members, policy)

        try:
            found, action, left = _take_down(slot, client, before, make)
        except RegistrarError as error:
            return self._observer.failed(slot, desired, error)
        return self._observer.parted(slot, desired, found, left, action)

    def _note(self, seen: Observation, hold: Hold | None, members: int) -> Observation:
        tell_farewell(seen)
        # What is left as it is the members that remain see for themselves, and a newer deployment sees it as its own.
        if hold and (not members or seen.result == "deregistered"):
            seen = replace(seen, fence=hold.token, contender=None)
            try:
                seen = following(seen, self._store.observation(seen.slot), fights=0)
                self._store.observe(seen)
            except redis.RedisError as error:
                log.warning("observation not stored", why=type(error).__name__)
        return seen


Removal = tuple[Registration | None, Action, Registration | None]
"""What was there, what was done about it, and what is left."""


def _take_down(
    slot: Slot,
    client: Client,
    before: Permit,
    make: Callable[[Registration | None], Action],
    attempts: int = ATTEMPTS,
) -> Removal:
    """Removes, if the plan says so.

    A DELETE that failed may have been carried out, and somebody else may have registered since: so
    each further attempt looks and plans anew.
    """
    found = client.query(slot, before=before)
    action = make(found)
    if action.kind != "deregister":
        return found, action, found
    try:
        client.deregister(slot, before=before)
    except UnavailableError as error:
        if attempts == 1 or not worth_retrying(error) or client.pause(error):
            raise
        again = _take_down(slot, client, before, make, attempts - 1)
        # Nothing is there any more: the attempt was carried out after all.
        return (found, action, None) if again[0] is None else again
    return found, action, client.query(slot, before=before)


class Farewell:
    """Leaves the lease, and deregisters as `REGISTRAR_DEREGISTER` says. Nothing in it raises.

    Leaving happens under the mutex too: a new member that joins after the count must wait with its
    first tick until the last of the old ones is through, and then finds the registration gone and
    makes it again. Without Redis nobody can know who else is there, so nothing is deregistered.
    """

    def __init__(self, settings: Settings, shared: Shared, remover: Remover) -> None:
        """Takes what a tick takes."""
        self._policy = settings.deregister
        self._mutex = shared.mutex
        self._lease = shared.lease
        self._remover = remover

    def say(self, wait: Wait, permit: Permit, *, for_at_most_s: float) -> bool:
        """Leaves, and deregisters if that is this process's to do; whether anything was deregistered.

        Args:
            wait: sleeps so many seconds, and returns True early if there is no more time.
            permit: called before every write; raises NotAloneError if there is no more time.
            for_at_most_s: how long to wait for the mutex.
        """
        if self._policy == "never":
            log.info("not deregistered", reason="policy", members=self._lease.leave())
            return False
        try:
            with self._mutex.held(wait, for_at_most_s=for_at_most_s) as hold:
                return self._leave(wait, permit, hold)
        except redis.RedisError as error:
            log.warning("not deregistered", reason="without-redis", why=type(error).__name__)
        except NotAloneError as error:
            log.warning("not deregistered", reason=error.reason, members=self._lease.leave())
        return False

    def _leave(self, wait: Wait, permit: Permit, hold: Hold) -> bool:
        members = self._lease.leave()
        if members is None:
            log.warning("not deregistered", reason="without-redis")
            return False
        if members and self._policy == "last":
            log.info("not deregistered", reason="members-remain", members=members)
            return False
        seen = self._remover.remove_all(wait, permit, hold, members=members, policy=self._policy)
        return any(each.result == "deregistered" for each in seen)
