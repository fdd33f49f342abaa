"""Who is a member of the namespace: leases in Redis that expire with those who hold them."""

import os
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import redis

from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script

# For so long a URL that a member had is known as the namespace's own: longer than a roll-back takes.
FAMILY_MEMORY_MS = 30 * 24 * 3600 * 1000

# Instead of the time for which a member has wanted to join, in `join.lua`.
SUPERSEDES_NOBODY = -1


@dataclass(frozen=True)
class Card:
    """Who a member is. Those of one deployment want the same; the digests tell nothing else."""

    name: str
    deployment: str
    url: str


@dataclass(frozen=True)
class Member:
    """A live member, when it joined (ms of Redis's clock) and how long its lease still lasts."""

    card: Card
    joined_ms: int
    expires_in_s: float


@dataclass(frozen=True)
class Roll:
    """The live members at one moment; `rejoined`: our own lease had lapsed before."""

    members: tuple[Member, ...] = ()
    rejoined: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(sorted(member.card.name for member in self.members))

    def are_candidates_elsewhere(self, card: "Card") -> bool:
        """Whether there are other members, and all of them only start and want another URL than this one."""
        others = [member for member in self.members if member.card.name != card.name]
        return bool(others) and all(
            not member.joined_ms and member.card.url != card.url for member in others
        )

    @property
    def deployments(self) -> frozenset[str]:
        """Which deployments have a live member."""
        return frozenset(member.card.deployment for member in self.members)

    def supersedes(self, deployment: str) -> bool:
        """Whether a live deployment joined after this one: the newer one decides what is registered.

        A deployment joined when the last of its members did. One that has no member is superseded
        by nobody.
        """
        latest: dict[str, tuple[int, str]] = {}
        for member in self.members:
            joined = (member.joined_ms, member.card.deployment)
            latest[member.card.deployment] = max(joined, latest.get(joined[1], joined))
        mine = latest.get(deployment)
        return mine is not None and max(latest.values()) > mine


class Lease:
    """This process's membership. Not more than one for each process; threads may share it.

    Guaranteed: a member that does not renew is none after `ttl_s`; leaving and counting those who
    remain is one step. Not guaranteed: that a lease survives a failover of Redis that loses the
    last writes; the member then joins again at its next renewal.

    Args:
        client: of Redis.
        keys: of the namespace.
        card: who this is.
        ttl_s: how long a lease lasts, in seconds.
        age_s: tells for how long this process has wanted to be a member.
    """

    def __init__(
        self,
        client: "redis.Redis",
        keys: Keys,
        card: Card,
        *,
        ttl_s: float,
        age_s: Callable[[], float],
    ) -> None:
        """Joins nothing yet."""
        self.card = card
        self._is_candidate = True
        # Whether Redis has confirmed what this process is now: a candidate, or one that reconciles.
        self._is_entered = False
        self._keys = keys
        self._ttl_ms = round(ttl_s * 1000)
        self._age_s = age_s
        self._join = script(client, "join", prelude="roll")
        self._renew = script(client, "renew", prelude="roll")
        self._leave = script(client, "leave", prelude="roll")

    def join(self) -> Roll:
        """Enters this process, as one that reconciles: it may supersede others. Raises redis.RedisError."""
        self._is_candidate = False
        self._is_entered = False
        return self._enter()

    def join_as_candidate(self) -> Roll:
        """Enters this process, as one that starts: it counts as a member, and supersedes nobody.

        Whoever leaves must know of it before it reports ready, because an orchestrator ends the old replicas at
        that moment; until it may write, the old ones decide. Raises redis.RedisError.
        """
        return self._enter()

    def _enter(self) -> Roll:
        age_ms = SUPERSEDES_NOBODY if self._is_candidate else round(self._age_s() * 1000)
        card = self.card
        lines = self._join(
            keys=[self._keys.leases, self._keys.members, self._keys.family],
            args=[card.name, self._ttl_ms, age_ms, card.deployment, card.url, FAMILY_MEMORY_MS],
        )
        self._is_entered = True
        return _roll(lines)

    def renew(self) -> Roll:
        """Renews the lease, or joins again if it has lapsed. Raises redis.RedisError."""
        if not self._is_entered:
            return self._enter()
        lines = self._renew(
            keys=[self._keys.leases, self._keys.members, self._keys.family],
            args=[self.card.name, self._ttl_ms, self.card.url],
        )
        return _roll(lines) if lines else replace(self._enter(), rejoined=True)

    def leave(self) -> int | None:
        """Leaves; how many members remain, or None if that cannot be known. Never raises.

        If our own lease is not there although Redis had confirmed it, Redis lost data, or the lease lapsed: the others'
        leases may be missing as well, and they join again within seconds.
        """
        try:
            remaining, was_member = self._leave(
                keys=[self._keys.leases, self._keys.members], args=[self.card.name]
            )
        except redis.RedisError:
            return None
        is_known = bool(was_member) or not self._is_entered
        self._is_entered = False
        return int(remaining) if is_known else None


def read_roll(client: "redis.Redis", keys: Keys) -> Roll:
    """The members, read by one who is none. Raises redis.RedisError."""
    read = script(client, "read", prelude="roll")
    return _roll(read(keys=[keys.leases, keys.members], args=[]))


def new_name() -> str:
    """A name for this process that people can find it by: host, process id, and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def _roll(lines: Sequence[Sequence[bytes]]) -> Roll:
    return Roll(tuple(_member(*(part.decode(errors="replace") for part in line)) for line in lines))


def _member(name: str, expires_in_ms: str, written: str) -> Member:
    """Reads what another version of this program may have written, with more words or with fewer."""
    joined, deployment, url = [*written.split(" "), "-", "-"][:3]
    joined_ms = int(joined) if joined.isdecimal() else 0
    return Member(Card(name, deployment, url), joined_ms, int(expires_in_ms) / 1000)
