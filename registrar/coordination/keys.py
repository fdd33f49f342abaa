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
| `…:recovery` | string | what the last sweeps of the recovery found, JSON (`listener/recovered/recovery_state.py`) |
| `…:recovery:mutex` | string, expires | `fencing-token member` of the process that sweeps |
| `…:recovery:fence` | number | its last fencing token |
| `…:recovery:written` | number | the fencing token of the last one that wrote what follows |
| `…:recovery:slots` | hash | `<account>/<version>` → baseline, last sweep, and where one that goes on stands, JSON |
| `…:recovery:upgrades:<account>/<version>` | hash | upgrade id → what is known of its messages, JSON; deleted 200 days after ThingSpace last reported it |
| `…:recovery:alive` | number, expires | when a replica last said that it runs, in ms |
| `…:recovery:gap` | number, expires | when messages may have been lost last, in ms |
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

    @property
    def recovery(self) -> "RecoveryKeys":
        """Those of the recovery."""
        return RecoveryKeys(self._key("recovery"))

    def takeovers(self, slot: Slot, deployment: str) -> str:
        """How often a deployment replaced what strangers had registered in a slot."""
        return self._key(f"takeovers:{slot}:{deployment}")


@dataclass(frozen=True)
class RecoveryKeys:
    """The keys of the recovery, which has a mutex of its own.

    Attributes:
        state: what the last sweeps found; the other keys begin with this one.
    """

    state: str

    @property
    def mutex(self) -> str:
        """The holder of the mutex, which sweeps."""
        return f"{self.state}:mutex"

    @property
    def fence(self) -> str:
        """The last fencing token of that mutex."""
        return f"{self.state}:fence"

    @property
    def written(self) -> str:
        """The fencing token of the last one that wrote."""
        return f"{self.state}:written"

    @property
    def slots(self) -> str:
        """The sweeps of each slot."""
        return f"{self.state}:slots"

    @property
    def alive(self) -> str:
        """The last sign of life of any replica."""
        return f"{self.state}:alive"

    @property
    def gap(self) -> str:
        """When messages may have been lost last."""
        return f"{self.state}:gap"

    def upgrades(self, slot: Slot) -> str:
        """The records of a slot's upgrades."""
        return f"{self.state}:upgrades:{slot}"
