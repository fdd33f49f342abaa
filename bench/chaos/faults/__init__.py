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

MODULES = (redis_server, refusals, service, spool, clients, network, failover)
FAULTS: dict[str, Fault] = {
    each.name: each
    for module in MODULES
    for each in vars(module).values()
    if isinstance(each, Fault)
}
