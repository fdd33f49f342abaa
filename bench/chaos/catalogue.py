"""Every fault that there is, by its name."""

from bench.chaos.fault import Fault
from bench.chaos.faults import client, failover, network, redis, refusals, service, spool

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (
        redis,
        refusals,
        service,
        spool,
        client,
        network,
        failover,
    )
    for fault in module.FAULTS
}
