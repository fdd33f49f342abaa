"""Three replicas that are killed at random, and an outside that interferes: who writes, and when."""

import itertools
import os
import random
import signal
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from testbed.polling import wait_until
from testbed.registrar_process import REGISTRAR, settings, wait_until_registered
from testbed.sandbox_client import Sandbox
from testbed.service import Service

pytestmark = pytest.mark.slow

# By hand: REGISTRAR_CHAOS_S=60 python -m pytest tests/system/registrar/test_replicas.py -s
DURATION_S = float(os.environ.get("REGISTRAR_CHAOS_S", "6"))
TTL_S = 1
# Ticks are up to a tenth late, and the two cores are busy.
SLACK_S = 6.0
# A killed holder of the mutex blocks it for longer than a call may take. Nothing is under way for as long
# here, so by default most of that time is skipped; the long run by hand waits for it.
MUTEX = "{fota:registrar}:mutex"
SKIPS = "REGISTRAR_CHAOS_S" not in os.environ
# The long run has an interval above the mutex's life, and holds the replicas to it to the second.
INTERVAL_S = 2 if SKIPS else 20
REPAIRED_S = INTERVAL_S + (SLACK_S if SKIPS else 0)
PUBLIC = "http://127.0.0.1:50559/cb"


class Replicas:
    """Three, of which at least one is always past its boot: with all dead nobody could repair."""

    def __init__(self, services: list[Service], redis_client: "redis.Redis") -> None:
        self.services = services
        self.redis = redis_client
        self.kills = 0

    def kill_and_restart_one(self) -> None:
        victim = random.choice(self.services)
        for other in self.services:
            if other is not victim:
                wait_until(partial(is_member, other), other.log)
        victim.signal(signal.SIGKILL)
        assert victim.process
        mark = f"-{victim.process.pid}-"
        victim.wait()
        if SKIPS and mark in str(self.redis.get(MUTEX)):
            self.redis.expire(MUTEX, 1)
        victim.start()
        self.kills += 1


def is_member(service: Service) -> bool:
    """Whether the process that runs now has joined; its name has its number in it."""
    assert service.process
    mark = f"-{service.process.pid}-"
    return any(mark in line and '"member"' in line for line in service.log().splitlines())


def interfere(sandbox: Sandbox) -> float:
    """Removes the registration behind the replicas' back; returns when it is there again."""
    sandbox.deregister_outside()
    began = time.monotonic()
    wait_until(lambda: sandbox.registered_url() is not None, str, REPAIRED_S)
    return time.monotonic() - began


def overlaps(writes: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """The pairs of writes of which the second began before the first had ended."""
    pairs = itertools.pairwise(writes)
    return [(a["id"], b["id"]) for a, b in pairs if a["ended"] is None or b["started"] < a["ended"]]


def test_replicas_that_are_killed_never_write_at_once_and_repair_within_an_interval(
    redis_url: str, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    with Sandbox() as sandbox, ExitStack() as stack:
        chosen = settings(
            sandbox,
            tmp_path,
            REDIS_URL=redis_url,
            REGISTRAR_INTERVAL_S=str(INTERVAL_S),
            REGISTRAR_LEASE_TTL_S=str(TTL_S),
            PUBLIC_URL=PUBLIC,
        )
        services = [Service(*REGISTRAR, "run", **chosen) for _ in range(3)]
        started = [stack.enter_context(service) for service in services]
        replicas = Replicas(started, redis_client)
        for service in services:
            wait_until_registered(service)
        # Slow answers make writes long enough to be caught in the act.
        sandbox.fault("/api/fota", method="POST", delay_s=0.1, count=100_000)
        repairs = []
        until = time.monotonic() + DURATION_S
        while time.monotonic() < until:
            replicas.kill_and_restart_one()
            repairs.append(interfere(sandbox))
        writes = [c for c in sandbox.requests(path="/api/fota") if c["method"] != "GET"]
        history = sandbox.registrations()["history"]

    slowest = max(repairs)
    print(f"kills {replicas.kills}, writes {len(writes)}, slowest {slowest:.1f} s")  # noqa: T201
    assert not overlaps(writes)
    assert {call["method"] for call in writes} == {"POST"}
    assert len(writes) >= len(repairs)
    assert slowest < REPAIRED_S
    assert {entry["url"] for entry in history if entry["cause"] == "POST"} == {
        f"{PUBLIC}/{chosen['CALLBACK_TOKEN']}"
    }
