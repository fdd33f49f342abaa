"""Every Redis key of the registrar; no other module contains one.

All share the hash tag `{<namespace>:registrar}`, so that one script may touch several in a Cluster.
None holds a credential or a token; URLs stand in values only, shown as to people.

| key | type | content |
|---|---|---|
| `…:leases` | sorted set | member → when its lease expires, ms of Redis's clock |
| `…:members` | hash | member → `joined-ms deployment url`, the last two as digests |
| `…:family` | sorted set | known URLs: digest of a URL that a member had → when a member with it last joined, ms |
| `…:mutex` | string, expires | `fencing-token member` of the holder, which may write to ThingSpace |
| `…:fence` | number | the last fencing token |
| `…:takeovers:<account>/<version>:<deployment>` | sorted set, expires | its takeovers from strangers |
| `…:observations` | hash | `<account>/<version>` → the last observation, JSON |
| `…:observed` | number | the fencing token of the last observation |
| `…:pause` | number, expires | no replica calls ThingSpace until it has expired |
| `…:pauses` | number, expires | how many such pauses there were in a row |
| `…:queue-id` | string | a random name of this namespace in this Redis, which the probe recognises |
| `…:breaker` | hash | digest of credentials → state of the login breaker, JSON |
"""

from dataclasses import dataclass

from registrar.model import Slot


@dataclass(frozen=True)
class Keys:
    """The keys of one namespace (`QUEUE_NAMESPACE`)."""

    namespace: str

    def _key(self, name: str) -> str:
        return f"{{{self.namespace}:registrar}}:{name}"

    @property
    def leases(self) -> str:
        """When each member's lease expires."""
        return self._key("leases")

    @property
    def members(self) -> str:
        """The members' identities."""
        return self._key("members")

    @property
    def known_urls(self) -> str:
        """The URLs of this namespace's deployments, alive or not; the key is called `family`."""
        return self._key("family")

    @property
    def mutex(self) -> str:
        """The holder of the mutex."""
        return self._key("mutex")

    @property
    def fence(self) -> str:
        """The last fencing token."""
        return self._key("fence")

    @property
    def queue_id(self) -> str:
        """A random name of this namespace in this Redis."""
        return self._key("queue-id")

    @property
    def observations(self) -> str:
        """The last observation of each slot."""
        return self._key("observations")

    @property
    def observed(self) -> str:
        """The fencing token of the last observation."""
        return self._key("observed")

    @property
    def pause(self) -> str:
        """Exists while no replica may call ThingSpace."""
        return self._key("pause")

    @property
    def pauses(self) -> str:
        """How many pauses there were in a row."""
        return self._key("pauses")

    @property
    def breaker(self) -> str:
        """The login breaker."""
        return self._key("breaker")

    def takeovers(self, slot: Slot, deployment: str) -> str:
        """How often a deployment replaced what strangers had registered in a slot."""
        return self._key(f"takeovers:{slot}:{deployment}")
