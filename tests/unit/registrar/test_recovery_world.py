"""Whatever happens to messages, streams and replicas: after two sweeps each message that was due is accounted for."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from registrar.recovery.judging import due, look, sighting, verdict
from registrar.recovery.judging.verdict import Evidence, Look
from registrar.recovery.records.upgrade_record import Finding, Verdict
from tests.support import recovery_world
from tests.support.recovery_world import play, violations

VERSIONS = ("v1", "v2", "v3")
# Far more than any of the faults needs; most show within ten.
WORLDS_OF_A_FAULT = 80


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """A world has a hundred lines."""
    with structlog.testing.capture_logs():
        yield


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=False), version=st.sampled_from(VERSIONS))
def test_every_due_message_is_received_recovered_or_unknown_for_a_reason(
    random: Random, version: str
) -> None:
    world = play(random, version)
    note("\n".join(world.trace))
    assert violations(world) == []


judge_kind, judge_devices = verdict._judge_kind, verdict.judge_devices
evidence_of, look_of = look.EvidenceReader.of, look.Conditions.look


def _with_due(**more: frozenset[str]) -> Any:
    table = {version: {**states, **more} for version, states in due.DUE.items()}
    return lambda version, status: table[version].get(status, frozenset())


def _forgetting(*kinds: str) -> Any:
    return lambda version, status: due.due_kinds(version, status) - set(kinds)


def _changed_evidence(**changes: Any) -> Any:
    return lambda self, account, upgrade_id: replace(
        evidence_of(self, account, upgrade_id), **changes
    )


def _changed_look(**changes: Any) -> Any:
    return lambda self, seen, record: replace(look_of(self, seen, record), **changes)


def _without_not_before(*arguments: Any) -> Finding:
    return replace(judge_kind(*arguments), not_before_ms=None)


def _judge_with(kind: str, before: Any, record: Any, at: Look, evidence: Evidence) -> Finding:
    """Forgets the first look."""
    return judge_kind(kind, before and replace(before, first_look_ms=0), record, at, evidence)


def _seen_for_ever_missing(*arguments: Any) -> Finding:
    finding = judge_kind(*arguments)
    return Finding(Verdict.MISSING) if finding.verdict is Verdict.SUSPECTED else finding


FAULTS = {
    "a requested upgrade is taken for scheduled": (sighting, "due_kinds", _with_due(RequestPending=frozenset({due.SCHEDULED}), CampaignRequestPending=frozenset({due.SCHEDULED}))),
    "a failed upgrade is taken for finished": (sighting, "due_kinds", _with_due(UpgradeFailed=frozenset({due.FINISHED}), CampaignCancelled=frozenset({due.FINISHED}))),
    "nothing is due when an upgrade is scheduled": (sighting, "due_kinds", _forgetting(due.SCHEDULED)),
    "nothing is due when an upgrade ends": (sighting, "due_kinds", _forgetting(due.FINISHED)),
    "what came is not looked for": (look.EvidenceReader, "of", _changed_evidence(kinds=frozenset())),
    "messages that wait in a spool are taken for lost": (look.EvidenceReader, "of", _changed_evidence(blindness="")),
    "what was trimmed is taken for lost": (verdict, "_trimmed", lambda *_: ""),
    "everything may have been trimmed": (verdict, "_trimmed", lambda *_: "trimmed"),
    "one look is enough": (verdict, "_judge_kind", _seen_for_ever_missing),
    "the looks may follow at once": (look.Conditions, "look", _changed_look(distance_ms=0)),
    "the first look is forgotten": (verdict, "_judge_kind", _judge_with),
    "the first sweep is no baseline": (look.Conditions, "look", _changed_look(is_baseline=False)),
    "every sweep is a baseline": (look.Conditions, "look", _changed_look(is_baseline=True)),
    "a message of an unknown kind counts for nothing": (look.EvidenceReader, "of", lambda self, account, upgrade_id: _known_kinds(evidence_of(self, account, upgrade_id))),
    "devices that were announced are taken for lost": (look, "judge_devices", lambda *a, **k: judge_devices(*a, **{**k, "seen": frozenset()})),
    "lost devices are not noticed": (look, "judge_devices", lambda *_, **__: {}),
    "one look at a device is enough": (look, "missing_devices", lambda times, *_: [each for each, ms in times.items() if ms > 0]),
}  # fmt: skip


def _known_kinds(evidence: Evidence) -> Evidence:
    return replace(evidence, kinds=evidence.kinds - {"unknown"})


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_verdict_are_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FAULTS[fault])
    worlds = (
        play(Random(seed), version) for seed in range(WORLDS_OF_A_FAULT) for version in VERSIONS
    )
    assert any(violations(world) for world in worlds)


def test_worlds_are_not_empty() -> None:
    worlds = [play(Random(seed), version) for seed in range(20) for version in VERSIONS]
    assert sum(len(world.recovered) for world in worlds) > 5
    assert sum(len(world.arrived) for world in worlds) > 50
    assert recovery_world.PROVES
