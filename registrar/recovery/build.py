"""Builds the recovery of one process out of what the registration has; connects to nothing."""

from contextlib import ExitStack
from dataclasses import replace

import redis

from listener.recovered.evidence_index import EvidenceIndex
from listener.recovered.recovered_messages import RecoveredMessages
from registrar.coordination.coordination import Coordination
from registrar.coordination.keys import Keys
from registrar.coordination.mutex import Mutex
from registrar.metrics import Metrics
from registrar.recovery.calls.client import MAX_REPLY_BYTES, Pace, ReportClient
from registrar.recovery.records.store import RedisRecoveryStore
from registrar.recovery.service import Recovery
from registrar.settings import RegistrarSettings
from registrar.thingspace.auth import Authenticator
from registrar.thingspace.transport import Transport

# A page may be slow where the registration's calls are not.
READ_TIMEOUT_S = 30.0


def build_recovery(
    settings: RegistrarSettings,
    client: "redis.Redis",
    coordination: Coordination,
    authenticator: Authenticator,
    *,
    metrics: Metrics | None = None,
    pace: Pace | None = None,
    stack: ExitStack,
) -> Recovery:
    """The recovery.

    Args:
        settings: checked ones.
        client: of Redis.
        coordination: the registration's.
        authenticator: the registration's: tokens, session and login breaker are shared.
        metrics: counts calls.
        pace: of the calls.
        stack: closes what is opened.
    """
    timing = replace(
        settings.timing, read_timeout_s=max(READ_TIMEOUT_S, settings.timing.read_timeout_s)
    )
    transport = Transport(
        settings.base_url, timing, settings.secrets, metrics, max_reply_bytes=MAX_REPLY_BYTES
    )
    evidence = EvidenceIndex.connect(settings.service)
    messages = RecoveredMessages.connect(settings.service)
    for opened in (transport, evidence, messages):
        stack.callback(opened.close)
    keys = Keys(settings.service.queue.namespace)
    return Recovery(
        slots=settings.slots,
        mode=settings.recovery,
        interval_h=settings.recovery_interval_h,
        second_look_s=settings.recovery_second_look_s,
        mutex=Mutex(
            client,
            keys.recovery,
            coordination.lease.identity.name,
            ttl_s=timing.connect_timeout_s + timing.read_timeout_s + timing.mutex_margin_s,
        ),
        store=RedisRecoveryStore(client, keys),
        clients=lambda: ReportClient(transport, authenticator, coordination.pauses, pace or Pace()),
        evidence=evidence,
        messages=messages,
    )
