"""One measurement: a load on a contender, and what both sides and the machine used for it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from bench.rig import process_usage, store
from bench.rig.contender import Server
from bench.rig.store import Store

Load = Callable[[], dict[str, Any]]


def measure(server: Server, where: Store, load: Load, *, under_way: int) -> dict[str, Any]:
    """Runs the load and returns its figures.

    Args:
        server: what is measured.
        where: the Redis it writes to.
        load: sends, and returns what `load.closed` returns.
        under_way: see `store.check_count`.

    Raises:
        store.MismatchError: not every 200 is an entry, or there were refusals or failures.
    """
    length = where.length()
    found = account(server, where.processes(), load)
    unknown = under_way + found["unanswered"]
    added = store.check_count(where, length, found["messages"], under_way=unknown)
    # Those that were under way at the end cost as much as those that were answered.
    share = found["messages"] / added
    cpu = {name: found[name] * share for name in ("cpu_us", "redis_cpu_us")}
    return {**found, **cpu, "entries": added}


def account(server: Server, of_redis: Sequence[psutil.Process], load: Load) -> dict[str, Any]:
    """Likewise, without looking at what is in Redis.

    Raises:
        store.MismatchError: there were refusals or failures.
    """
    family, own = server.processes(), psutil.Process()
    machine, began = process_usage.Machine.now(), time.perf_counter()
    before, redis_before, own_before = process_usage.cpu_s(family), _sum(of_redis), _sum([own])
    told = load()
    after, redis_after, own_after = process_usage.cpu_s(family), _sum(of_redis), _sum([own])
    elapsed, machine_after = time.perf_counter() - began, process_usage.Machine.now()
    # At a fixed rate, what is too slow leaves some unanswered: that is a figure, not a failure.
    broken = told["broken"] if told["rate"] is None else 0
    if told["refused"] or broken or not told["kept"]:
        raise store.MismatchError(f"{server.contender.name} refused or broke off: {told}")
    cpu, redis_cpu = process_usage.used(before, after), redis_after - redis_before
    memory = process_usage.largest(family)
    own_s = cpu + redis_cpu + own_after - own_before
    return {
        **{name: told[name] for name in ("seconds", "rate", "p50_ms", "p99_ms", "p999_ms")},
        "messages": told["kept"],
        "unanswered": told["broken"],
        "per_s": told["kept"] / told["seconds"],
        "cpu_us": cpu * 1e6 / told["kept"],
        "redis_cpu_us": redis_cpu * 1e6 / told["kept"],
        "rss_mb": memory.rss_mb,
        "pss_mb": memory.pss_mb,
        "foreign": process_usage.foreign_share(machine, machine_after, own_s, elapsed),
        "stolen": (machine_after.stolen - machine.stolen) / elapsed,
    }


def _sum(processes: Sequence[psutil.Process]) -> float:
    # What they started and have waited for counts as well: wrk.
    every = [process.cpu_times() for process in processes]
    return sum(t.user + t.system + t.children_user + t.children_system for t in every)
