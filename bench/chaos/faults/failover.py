"""Faults of a Redis of many servers: a master dies, hangs or hands over, and slots move."""

import time
from random import Random

from bench.chaos.alarm import SPOOLS, Exempt
from bench.chaos.environments.distributed import (
    CLUSTER_PARTITIONS,
    ClusterEnvironment,
    SentinelEnvironment,
    cluster,
    sentinel,
)
from bench.chaos.fault import fault
from bench.chaos.faults.redis_server import hung
from bench.rig.store import stream_key

QUICK = Exempt("another server takes over within a moment")


@fault("sentinel-kill", sentinel, SPOOLS)
def kill_master(environment: SentinelEnvironment, rng: Random) -> None:
    """SIGKILL of the master under Sentinel, and a new start as a replica."""
    old = environment.sentinels.master()
    old.kill()
    environment.sentinels.new_master_after(old)
    time.sleep(rng.uniform(0.0, 1.0))
    old.start()
    environment.wait_until_healthy()


@fault("sentinel-hang", sentinel, SPOOLS)
def hang_master(environment: SentinelEnvironment, rng: Random) -> None:
    """SIGSTOP of the master under Sentinel until after the failover."""
    old = environment.sentinels.master()
    # When it resumes, it believes to be the master until a Sentinel demotes it.
    with hung(old):
        environment.sentinels.new_master_after(old)
        time.sleep(rng.uniform(0.0, 1.0))
    environment.wait_until_healthy()


@fault("sentinel-handover", sentinel, QUICK)
def hand_over(environment: SentinelEnvironment, rng: Random) -> None:
    """SENTINEL FAILOVER: the old master lives, and goes on for a moment."""
    environment.sentinels.fail_over()
    environment.wait_until_healthy()


@fault("cluster-kill", cluster, SPOOLS)
def kill_cluster_master(environment: ClusterEnvironment, rng: Random) -> None:
    """SIGKILL of a master of the Cluster, and a new start as a replica."""
    key = _random_stream(rng)
    old = environment.cluster.master_of(key)
    old.kill()
    environment.cluster.new_master_after(old, key)
    time.sleep(rng.uniform(0.0, 1.0))
    old.start()
    environment.wait_until_healthy()


@fault("cluster-hang", cluster, SPOOLS)
def hang_cluster_master(environment: ClusterEnvironment, rng: Random) -> None:
    """SIGSTOP of a master of the Cluster until after the failover."""
    key = _random_stream(rng)
    old = environment.cluster.master_of(key)
    with hung(old):
        environment.cluster.new_master_after(old, key)
        time.sleep(rng.uniform(0.0, 1.0))
    environment.wait_until_healthy()


@fault("cluster-handover", cluster, QUICK)
def hand_over_in_cluster(environment: ClusterEnvironment, rng: Random) -> None:
    """CLUSTER FAILOVER of one master."""
    environment.cluster.fail_over(_random_stream(rng))
    environment.wait_until_healthy()


@fault("cluster-reshard", cluster, QUICK)
def reshard(environment: ClusterEnvironment, rng: Random) -> None:
    """Slots with streams move to other masters."""
    for _ in range(3):
        key = _random_stream(rng)
        source = environment.cluster.master_of(key)
        others = [master for master in environment.cluster.masters() if master is not source]
        environment.cluster.move_slot(key, rng.choice(others))
        time.sleep(rng.uniform(0.0, 0.5))


def _random_stream(rng: Random) -> str:
    return stream_key(rng.randrange(CLUSTER_PARTITIONS))
