"""The members of the namespace: their identities, and the leases that make them members."""

import os
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import redis

from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script

# Longer than a roll-back takes.
KNOWN_URL_TTL_MS = 30 * 24 * 3600 * 1000

# Instead of the time for which a member has wanted to join, in `join.lua`.
SUPERSEDES_NOBODY = -1


@dataclass(frozen=True)
class MemberIdentity:
    """A member's identity. Replicas of one deployment have equal digests; a digest reveals only equality."""

    name: str
    deployment: str
    url: str


@dataclass(frozen=True)
class Member:
    """A live member, when it joined (ms of Redis's clock) and how long its lease still lasts."""

    identity: MemberIdentity
    joined_ms: int
    expires_in_s: float


@dataclass(frozen=True)
class Members:
    """The live members at one moment; `rejoined`: our own lease had lapsed before."""

    live: tuple[Member, ...] = ()
    rejoined: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(sorted(member.identity.name for member in self.live))

    @property
    def deployments(self) -> frozenset[str]:
        """Which deployments have a live member."""
        return frozenset(member.identity.deployment for member in self.live)

    def are_candidates_elsewhere(self, identity: MemberIdentity) -> bool:
        """Whether there are other members, and all of them only start and want another URL than this one."""
        others = [member for member in self.live if member.identity.name != identity.name]
        return bool(others) and all(
            not member.joined_ms and member.identity.url != identity.url for member in others
        )

    def is_superseded(self, deployment: str) -> bool:
        """Whether a live deployment joined after this one: the newer one decides what is registered.

        A deployment joined when the last of its members did. One that has no member is superseded
        by nobody.
        """
        latest: dict[str, tuple[int, str]] = {}
        for member in self.live:
            joined = (member.joined_ms, member.identity.deployment)
            latest[joined[1]] = max(joined, latest.get(joined[1], joined))
        own = latest.get(deployment)
        return own is not None and max(latest.values()) > own


class Lease:
    """This process's membership. Not more than one for each process; threads may share it.

    Guaranteed: a member that does not renew its lease is no member after `ttl_s`; leaving and counting the members
    that remain is one step. Not guaranteed: that a lease survives a failover of Redis that loses the
    last writes; the member then joins again at its next renewal.

    Args:
        client: of Redis.
        keys: of the namespace.
        identity: of this process.
        ttl_s: how long a lease lasts, in seconds.
        age_s: returns for how long this process has wanted to be a member.
    """

    def __init__(
        self,
        client: "redis.Redis",
        keys: Keys,
        identity: MemberIdentity,
        *,
        ttl_s: float,
        age_s: Callable[[], float],
    ) -> None:
        self.identity = identity
        self._is_candidate = True
        # Whether Redis has confirmed what this process is now: a candidate, or one that reconciles.
        self._is_entered = False
        self._keys = keys
        self._ttl_ms = round(ttl_s * 1000)
        self._age_s = age_s
        self._join = script(client, "join", prelude="members")
        self._renew = script(client, "renew", prelude="members")
        self._leave = script(client, "leave", prelude="members")

    def join(self) -> Members:
        """Enters this process, as one that reconciles: it may supersede others. Raises redis.RedisError."""
        self._is_candidate = False
        self._is_entered = False
        return self._enter()

    def join_as_candidate(self) -> Members:
        """Enters this process, as one that starts: it counts as a member, and supersedes nobody.

        A leaving member must know of it before it reports ready, because an orchestrator ends the old replicas at
        that moment; until it may write, the old ones decide. Raises redis.RedisError.
        """
        return self._enter()

    def renew(self) -> Members:
        """Renews the lease, or joins again if it has lapsed. Raises redis.RedisError."""
        if not self._is_entered:
            return self._enter()
        lines = self._renew(
            keys=[self._keys.leases, self._keys.members, self._keys.known_urls],
            args=[self.identity.name, self._ttl_ms, self.identity.url],
        )
        return _members(lines) if lines else replace(self._enter(), rejoined=True)

    def leave(self) -> int | None:
        """Leaves; how many members remain, or None if that cannot be known. Never raises.

        If our own lease is not there although Redis had confirmed it, Redis lost data, or the lease lapsed: the others'
        leases may be missing as well, and they join again within seconds.
        """
        try:
            remaining, was_member = self._leave(
                keys=[self._keys.leases, self._keys.members], args=[self.identity.name]
            )
        except redis.RedisError:
            return None
        is_known = bool(was_member) or not self._is_entered
        self._is_entered = False
        return int(remaining) if is_known else None

    def _enter(self) -> Members:
        age_ms = SUPERSEDES_NOBODY if self._is_candidate else round(self._age_s() * 1000)
        own = self.identity
        lines = self._join(
            keys=[self._keys.leases, self._keys.members, self._keys.known_urls],
            args=[own.name, self._ttl_ms, age_ms, own.deployment, own.url, KNOWN_URL_TTL_MS],
        )
        self._is_entered = True
        return _members(lines)


def read_members(client: "redis.Redis", keys: Keys) -> Members:
    """The members, read without becoming one. Raises redis.RedisError."""
    read = script(client, "list_members", prelude="members")
    return _members(read(keys=[keys.leases, keys.members], args=[]))


def new_member_id() -> str:
    """A name for this process that people can find it by: host, process id, and a random part."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()) or "host"
    return f"{host}-{os.getpid()}-{secrets.token_hex(3)}"


def _members(lines: Sequence[Sequence[bytes]]) -> Members:
    return Members(tuple(_member(*(p.decode(errors="replace") for p in line)) for line in lines))


def _member(name: str, expires_in_ms: str, stored: str) -> Member:
    """Reads what another version of this program may have written, with more words or with fewer."""
    joined, deployment, url = [*stored.split(" "), "-", "-"][:3]
    joined_ms = int(joined) if joined.isdecimal() else 0
    return Member(MemberIdentity(name, deployment, url), joined_ms, int(expires_in_ms) / 1000)
