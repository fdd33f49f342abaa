"""Shutdown: this process leaves, and the last member to leave deregisters."""

import redis
import structlog

from registrar.coordination.coordination import Coordination
from registrar.errors import NotExclusiveError
from registrar.reconcile.deregistration import Deregistrar
from registrar.settings import RegistrarSettings
from registrar.turn import Turn

log = structlog.get_logger("registrar")

SUCCESSOR_POLL_S = 0.25


class Shutdown:
    """Ends the membership, and deregisters as `REGISTRAR_DEREGISTER` says. Nothing in it raises.

    Leaving happens under the mutex too: a new member that joins after the count must wait with its
    first tick until the last of the old ones is through, and then observes that nothing is registered and
    registers again. Without Redis nobody can know who else is there, so nothing is deregistered.
    """

    def __init__(
        self, settings: RegistrarSettings, coordination: Coordination, deregistrar: Deregistrar
    ) -> None:
        self._slots = settings.slots
        self._policy = settings.deregister
        self._coordination = coordination
        self._lease = coordination.lease
        self._deregistrar = deregistrar

    def run(self, turn: Turn, *, mutex_timeout_s: float, may_have_written: bool = True) -> bool:
        """Leaves, and deregisters if it is up to this process; whether anything was deregistered or given back.

        Args:
            turn: asked before every request; raises NotExclusiveError if there is no more time.
            mutex_timeout_s: how long to wait for the mutex.
            may_have_written: whether this process ever came as far as registering. If not, it deregisters only what
                another member left to it: a COMMAND that dies at each start costs no login.
        """
        if self._policy == "never":
            members = self._lease.leave()
            log.info("not deregistered", reason="policy", members=members)
            return False
        try:
            with self._coordination.mutex.hold(turn, timeout_s=mutex_timeout_s) as held:
                return self._leave(turn.under(held), may_have_written=may_have_written)
        except redis.RedisError as error:
            log.warning("not deregistered", reason="without-redis", why=type(error).__name__)
        except NotExclusiveError as error:
            members = self._lease.leave()
            log.warning("not deregistered", reason=error.reason, members=members)
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
        done = self._deregistrar.deregister_all(turn, members=members, policy=self._policy)
        return any(each.result == "deregistered" or each.reason == "given-back" for each in done)

    def wait_for_successor(self, turn: Turn, timeout_s: float) -> bool:
        """Waits until a deployment with another URL that only starts can register it; whether it can now.

        An orchestrator ends the old replicas at the first 200 of the new one's `/readyz`. While its probe holds up the
        writing, messages still go to our URL, so somebody has to receive them there. Nothing in it raises.
        """
        waited_s = 0.0
        try:
            if not self._successor_starts():
                return False
            log.info("waiting for the new deployment to register")
            while waited_s < timeout_s and self._successor_starts():
                if turn.sleep(SUCCESSOR_POLL_S):
                    return False
                waited_s += SUCCESSOR_POLL_S
            return not self._successor_starts()
        except redis.RedisError as error:
            log.warning("successor unknown", why=type(error).__name__)
            return False

    def _successor_starts(self) -> bool:
        return self._coordination.members().are_candidates_elsewhere(self._lease.identity)

    def _was_left_to_us(self) -> bool:
        """Whether the last observation of any member, also of one that was killed, has a URL of ours."""
        observations = self._coordination.state.observations(self._slots)
        return any(each is not None and each.ours is not False for each in observations)
