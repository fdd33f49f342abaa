"""Coordination: what the replicas of a namespace share in Redis, built in one place."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from registrar.coordination.heartbeat import Heartbeat
from registrar.coordination.keys import Keys
from registrar.coordination.membership import (
    Lease,
    MemberIdentity,
    Members,
    new_member_id,
    read_members,
)
from registrar.coordination.mutex import Mutex
from registrar.coordination.pauses import Pauses
from registrar.coordination.state import SharedState
from registrar.model import canonical
from registrar.settings import RegistrarSettings


@dataclass(frozen=True)
class Coordination:
    """Mutex, members, state and pauses of one process.

    Attributes:
        mutex: held around everything that writes to ThingSpace.
        lease: makes this process a member; `heartbeat` renews it.
        members: reads who is a member now. Raises redis.RedisError.
        state: observations, known URLs, takeovers.
        pauses: in which no replica calls ThingSpace.
    """

    mutex: Mutex
    lease: Lease
    heartbeat: Heartbeat
    members: Callable[[], Members]
    state: SharedState
    pauses: Pauses

    @classmethod
    def build(
        cls,
        settings: RegistrarSettings,
        client: "redis.Redis",
        clock: Callable[[], float] = time.monotonic,
    ) -> "Coordination":
        """Builds it all, and asks Redis nothing yet; the clock returns monotonic seconds."""
        keys = Keys(settings.service.queue.namespace)
        url = settings.digest(canonical(settings.wanted("v1").url))
        identity = MemberIdentity(new_member_id(), settings.deployment, url)
        began, ttl_s = clock(), settings.lease_ttl_s
        lease = Lease(client, keys, identity, ttl_s=ttl_s, age_s=lambda: clock() - began)
        return cls(
            mutex=Mutex(client, keys, identity.name, ttl_s=settings.mutex_ttl_s, clock=clock),
            lease=lease,
            heartbeat=Heartbeat(lease, ttl_s=ttl_s),
            members=lambda: read_members(client, keys),
            state=SharedState(
                client, keys, digest=settings.digest, window_s=settings.flap_window_s
            ),
            pauses=Pauses(client, keys, clock),
        )
