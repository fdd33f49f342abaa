"""The catalogue of faults, by name; one module for each kind of victim."""

from bench.chaos.fault import Fault
from bench.chaos.faults import (
    clients,
    failover,
    network,
    redis_server,
    refusals,
    service,
    spool,
)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (redis_server, refusals, service, spool, clients, network, failover)
    for fault in module.FAULTS
}
