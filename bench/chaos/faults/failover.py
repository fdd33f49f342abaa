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
from bench.chaos.fault import Fault
from bench.chaos.faults.redis_server import hung
from bench.rig.store import stream_key

QUICK = Exempt("another server takes over within a moment")


def kill_master(environment: SentinelEnvironment, rng: Random) -> None:
    old = environment.sentinels.master()
    old.kill()
    environment.sentinels.new_master_after(old)
    time.sleep(rng.uniform(0.0, 1.0))
    old.start()
    environment.wait_until_healthy()


def hang_master(environment: SentinelEnvironment, rng: Random) -> None:
    old = environment.sentinels.master()
    # When it resumes, it believes to be the master until a Sentinel demotes it.
    with hung(old):
        environment.sentinels.new_master_after(old)
        time.sleep(rng.uniform(0.0, 1.0))
    environment.wait_until_healthy()


def hand_over(environment: SentinelEnvironment, rng: Random) -> None:
    environment.sentinels.fail_over()
    environment.wait_until_healthy()


def kill_cluster_master(environment: ClusterEnvironment, rng: Random) -> None:
    key = _random_stream(rng)
    old = environment.cluster.master_of(key)
    old.kill()
    environment.cluster.new_master_after(old, key)
    time.sleep(rng.uniform(0.0, 1.0))
    old.start()
    environment.wait_until_healthy()


def hang_cluster_master(environment: ClusterEnvironment, rng: Random) -> None:
    key = _random_stream(rng)
    old = environment.cluster.master_of(key)
    with hung(old):
        environment.cluster.new_master_after(old, key)
        time.sleep(rng.uniform(0.0, 1.0))
    environment.wait_until_healthy()


def hand_over_in_cluster(environment: ClusterEnvironment, rng: Random) -> None:
    environment.cluster.fail_over(_random_stream(rng))
    environment.wait_until_healthy()


def reshard(environment: ClusterEnvironment, rng: Random) -> None:
    for _ in range(3):
        key = _random_stream(rng)
        source = environment.cluster.master_of(key)
        others = [master for master in environment.cluster.masters() if master is not source]
        environment.cluster.move_slot(key, rng.choice(others))
        time.sleep(rng.uniform(0.0, 0.5))


def _random_stream(rng: Random) -> str:
    return stream_key(rng.randrange(CLUSTER_PARTITIONS))


FAULTS = (
    Fault(
        "sentinel-kill",
        "SIGKILL of the master under Sentinel, and a new start as a replica",
        sentinel,
        kill_master,
        SPOOLS,
    ),
    Fault(
        "sentinel-hang",
        "SIGSTOP of the master under Sentinel until after the failover",
        sentinel,
        hang_master,
        SPOOLS,
    ),
    Fault(
        "sentinel-handover",
        "SENTINEL FAILOVER: the old master lives, and goes on for a moment",
        sentinel,
        hand_over,
        QUICK,
    ),
    Fault(
        "cluster-kill",
        "SIGKILL of a master of the Cluster, and a new start as a replica",
        cluster,
        kill_cluster_master,
        SPOOLS,
    ),
    Fault(
        "cluster-hang",
        "SIGSTOP of a master of the Cluster until after the failover",
        cluster,
        hang_cluster_master,
        SPOOLS,
    ),
    Fault(
        "cluster-handover", "CLUSTER FAILOVER of one master", cluster, hand_over_in_cluster, QUICK
    ),
    Fault("cluster-reshard", "slots with streams move to other masters", cluster, reshard, QUICK),
)
