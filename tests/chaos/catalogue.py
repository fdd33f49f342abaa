"""Every fault that there is, by its name."""

from tests.chaos import (
    client_faults,
    failover_faults,
    network_faults,
    redis_faults,
    refusal_faults,
    service_faults,
    spool_faults,
)
from tests.chaos.fault import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for module in (
        redis_faults,
        refusal_faults,
        service_faults,
        spool_faults,
        client_faults,
        network_faults,
        failover_faults,
    )
    for fault in module.FAULTS
}
