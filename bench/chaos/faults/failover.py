"""Faults of a Redis of many servers: masters die or hang, hand over, and slots move."""

import time
from random import Random

from bench.chaos.alarm import SPOOLS, Exempt
from bench.chaos.fault import Fault
from bench.chaos.stages import cluster, sentinel
from bench.chaos.world import stream
from bench.chaos.worlds import PARTITIONS, ClusterWorld, SentinelWorld

QUICK = Exempt("another server takes over within a moment")


def kill_master(world: SentinelWorld, chance: Random) -> None:
    old = world.sentinels.master()
    old.kill()
    world.sentinels.new_master_after(old)
    time.sleep(chance.uniform(0.0, 1.0))
    old.start()
    world.wait_until_whole()


def hang_master(world: SentinelWorld, chance: Random) -> None:
    old = world.sentinels.master()
    old.freeze()
    try:
        world.sentinels.new_master_after(old)
        time.sleep(chance.uniform(0.0, 1.0))
    finally:
        # It takes itself for the master until a Sentinel tells it otherwise.
        old.thaw()
    world.wait_until_whole()


def hand_over(world: SentinelWorld, chance: Random) -> None:
    world.sentinels.fail_over()
    world.wait_until_whole()


def kill_cluster_master(world: ClusterWorld, chance: Random) -> None:
    key = _any_stream(chance)
    old = world.cluster.master_of(key)
    old.kill()
    world.cluster.new_master_after(old, key)
    time.sleep(chance.uniform(0.0, 1.0))
    old.start()
    world.wait_until_whole()


def hang_cluster_master(world: ClusterWorld, chance: Random) -> None:
    key = _any_stream(chance)
    old = world.cluster.master_of(key)
    old.freeze()
    try:
        world.cluster.new_master_after(old, key)
        time.sleep(chance.uniform(0.0, 1.0))
    finally:
        old.thaw()
    world.wait_until_whole()


def hand_over_in_cluster(world: ClusterWorld, chance: Random) -> None:
    world.cluster.fail_over(_any_stream(chance))
    world.wait_until_whole()


def reshard(world: ClusterWorld, chance: Random) -> None:
    for _ in range(3):
        key = _any_stream(chance)
        source = world.cluster.master_of(key)
        others = [master for master in world.cluster.masters() if master is not source]
        world.cluster.move_slot(key, chance.choice(others))
        time.sleep(chance.uniform(0.0, 0.5))


def _any_stream(chance: Random) -> str:
    return stream(chance.randrange(PARTITIONS))


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
