"""Packages import each other one way; pure modules import neither Flask, requests nor Redis."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("listener", "registrar", "sandbox", "testbed")
FORBIDDEN = {
    "listener": {"registrar", "sandbox", "bench"},
    "registrar": {"sandbox", "bench"},
    "sandbox": {"listener", "registrar", "bench"},
    # Benchmarks, chaos and the demonstration use it outside of pytest.
    "testbed": {"listener", "registrar", "sandbox", "bench", "tests", "pytest"},
}
# What of the listener the registrar may use; everything else of it is the web workers' affair.
SHARED = {
    "listener.__version__",
    "listener.server.address_report",
    "listener.settings.env",
    "listener.settings.parsers",
    "listener.errors",
    "listener.lazy_commands",
    "listener.settings.secret",
    "listener.settings.secret_files",
    "listener.settings.spool_settings",
    "listener.logs",
    "listener.metrics",
    "listener.runtime.multiprocess_dir",
    "listener.runtime.safe_files",
    "listener.runtime.lean_imports",
    "listener.runtime.memory_protection",
    "listener.callback.ownership_probe",
    "listener.redis_client.client",
    "listener.redis_client.script",
    "listener.settings.settings",
    "listener.runtime.stderr",
    "listener.registration_state",
    "listener.recovered.devices",
    "listener.recovered.recovery_state",
    "listener.recovered.evidence_index",
    "listener.recovered.recovered_messages",
    "listener.consumer.monitoring.metric_sums",
    "listener.times",
}
SHELLS = {"flask", "requests", "redis", "gunicorn", "subprocess", "socket"}
PURE = (
    "listener/callback/auth.py",
    "listener/messages/decoding.py",
    "listener/diagnostics/finding.py",
    "listener/text.py",
    "listener/inspection/stream_entry.py",
    "listener/inspection/entry_text.py",
    "listener/times.py",
    "listener/cli/render/csv_rows.py",
    "listener/consumer/deliveries/delivery.py",
    "listener/consumer/deliveries/in_flight.py",
    "listener/consumer/handlers/options.py",
    "listener/consumer/handlers/outcomes.py",
    "listener/consumer/handlers/signature.py",
    "listener/consumer/monitoring/health.py",
    "listener/consumer/messages.py",
    "listener/consumer/options.py",
    "listener/errors.py",
    "listener/messages/json_schemas.py",
    "listener/messages/json_reader.py",
    "listener/messages/kinds.py",
    "listener/messages/members.py",
    "listener/settings/secret.py",
    "listener/messages/message.py",
    "listener/messages/payload.py",
    "listener/callback/ownership_probe.py",
    "listener/messages/raw_search.py",
    "listener/recovered/devices.py",
    "listener/recovered/facts.py",
    "listener/recovered/message_content.py",
    "listener/recovered/stream_position.py",
    "listener/callback/redaction.py",
    "listener/entry_ids.py",
    "listener/settings/redis_url.py",
    "listener/messages/schemas.py",
    "listener/messages/shape.py",
    "listener/settings/env.py",
    "listener/settings/parsers.py",
    "listener/settings/queue_settings.py",
    "listener/settings/settings.py",
    "listener/settings/spool_settings.py",
    "listener/settings/provider_facts.py",
    "registrar/reconcile/verification.py",
    "registrar/reconcile/observer.py",
    "registrar/turn.py",
    "listener/registration_state.py",
    "listener/recovered/recovery_state.py",
    "registrar/plan.py",
    "registrar/public_url/checks.py",
    "registrar/url_display.py",
    "registrar/thingspace/faults.py",
    "registrar/thingspace/renewals.py",
    "registrar/thingspace/replies.py",
    "registrar/thingspace/requests.py",
    "registrar/thingspace/retry_after.py",
    "registrar/thingspace/schemas.py",
    "registrar/login_breaker/record.py",
    "registrar/recovery/calls/api.py",
    "registrar/recovery/calls/paging.py",
    "registrar/recovery/calls/replies.py",
    "registrar/recovery/judging/due.py",
    "registrar/recovery/judging/sighting.py",
    "registrar/recovery/judging/verdict.py",
    "registrar/recovery/records/slot_record.py",
    "registrar/recovery/records/tally.py",
    "registrar/recovery/records/upgrade_record.py",
    "registrar/recovery/schedule.py",
    "sandbox/demo/campaign.py",
)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_arrow_points_the_wrong_way(package: str) -> None:
    assert modules(package)
    for path in modules(package):
        tops = {name.partition(".")[0] for name in imports(path)}
        assert not tops & FORBIDDEN[package], path


def test_the_registrar_uses_only_what_the_listener_shares() -> None:
    used = {
        name
        for path in modules("registrar")
        for name in imports(path)
        if name.partition(".")[0] == "listener"
    }
    shared = {each for each in SHARED if any(name == each for name in used)}
    assert shared == SHARED, "what the registrar does not use any more is not shared"
    for name in used - SHARED:
        leads_there = any(each.startswith(f"{name}.") for each in SHARED)
        assert leads_there or name.rpartition(".")[0] in SHARED, f"the registrar imports {name}"


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_do_no_input_or_output(name: str) -> None:
    tops = {found.partition(".")[0] for found in imports(ROOT / name)}
    assert not tops & SHELLS


def test_the_walk_sees_what_it_should(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    module.write_text("import a.b\nfrom c import d\ndef f():\n    from e import g\n")
    assert set(imports(module)) == {"a.b", "c", "c.d", "e", "e.g"}
