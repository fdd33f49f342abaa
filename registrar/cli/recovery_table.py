"""Prints what a sweep found, for people. The command imports it once it draws, because rich takes long to import."""

from collections.abc import Sequence

from rich.table import Table

from listener.recovered.recovery_state import RecoveryState
from registrar.cli.status_table import plain, screen
from registrar.recovery.records.findings import UpgradeFinding
from registrar.recovery.service import Outcome

MAX_ROWS = 50


def show(state: RecoveryState, found: Sequence[UpgradeFinding], outcome: Outcome) -> None:
    """Prints the counts of each slot, the first upgrades with missing messages, and what the run did."""
    console = screen()
    console.print(_counts(state))
    if found:
        console.print(_upgrades(found))
    if len(found) > MAX_ROWS:
        console.print(f"and {len(found) - MAX_ROWS} upgrades more: --json has all", soft_wrap=True)
    for slot, error in outcome.errors.items():
        console.print(plain(f"{slot}: not swept to its end: {error}"), soft_wrap=True)
    baselines = [
        str(slot) for slot, one in outcome.records.items() if one.baseline_ms == one.swept_ms
    ]
    if baselines:
        console.print(
            f"baseline: {', '.join(baselines)} (what was there is recorded, and not judged)",
            soft_wrap=True,
        )
    console.print(
        f"{outcome.calls} calls in {outcome.seconds:.1f} s, {outcome.queued} messages queued",
        soft_wrap=True,
    )


def _counts(state: RecoveryState) -> Table:
    table = Table("account", "upgrades", "kind", "due", "came", "missing", "unknown", "queued")
    for name, slot in sorted(state.slots.items()):
        for kind, counts in slot.kinds.items():
            devices = f" ({counts.devices_missing} devices)" if counts.devices_missing else ""
            table.add_row(
                plain(name),
                str(slot.upgrades),
                kind,
                str(counts.due),
                str(counts.announced),
                f"{counts.missing}{devices}",
                str(counts.unknown),
                str(counts.recovered),
            )
    return table


def _upgrades(found: Sequence[UpgradeFinding]) -> Table:
    table = Table("account", "upgrade", "status", "kind", "verdict")
    for one in found[:MAX_ROWS]:
        for kind in one.kinds():
            finding = one.record.kinds[kind]
            devices = one.devices(kind)
            parts = [finding.verdict.value, finding.reason]
            parts.append(f"{len(devices)} devices" if devices else "")
            table.add_row(
                plain(str(one.slot)),
                plain(one.upgrade_id),
                plain(one.record.status),
                kind,
                plain(" ".join(filter(None, parts))),
            )
    return table
