"""`recover`: sweeps now, and prints what ThingSpace's reports prove due and what never came."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from registrar.cli.common import FAILED, as_json, build, fail, read_settings
from registrar.errors import RegistrarError
from registrar.model import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from registrar.recovery.service import Outcome, Recovery
    from registrar.recovery.sweep_tools import Position


def _parse_since(
    _context: click.Context, _option: click.Parameter, text: str | None
) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("must be a date such as 2026-11-01, or a time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command(epilog="Example: python -m registrar recover --dry-run --json")
@as_json
@click.option("--dry-run", is_flag=True, help="Ask and compare; store no verdict, queue nothing.")
@click.option(
    "--since",
    callback=_parse_since,
    help="Judge upgrades that start at this date or later also if they were there at the first sweep.",
)
@click.option("--account", help="This account alone.")
def recover(as_json: bool, dry_run: bool, since: datetime | None, account: str | None) -> None:
    """Ask ThingSpace about every upgrade, and find messages that never came.

    A message is missing once two sweeps, 15 minutes apart or more (v1: a day), did not find it. The first sweep is a
    baseline: it only records what is there. RECOVERY=queue: what is missing is put into the queue, marked as
    recovered. Exit status 0 if every account and version was swept, whatever was found.
    """
    settings = read_settings(by_hand=True)
    slots = [slot for slot in settings.slots if account in (None, slot.account)]
    if not slots:
        raise click.UsageError(f"{account} is not among THINGSPACE_ACCOUNTS")
    import redis  # noqa: PLC0415 - help does not wait for it

    from registrar.errors import UnavailableError  # noqa: PLC0415

    with build(settings) as registrar, registrar.recovery() as recovery:
        try:
            outcome = _sweep(recovery, slots, dry_run=dry_run, since=since, quiet=as_json)
        except RegistrarError as error:
            fail(error)
        except redis.RedisError as error:
            fail(UnavailableError("redis-lost", type(error).__name__, sent=False))
        _show(recovery, outcome, as_json=as_json)
    sys.exit(FAILED if outcome.errors else 0)


def _sweep(
    recovery: "Recovery",
    slots: list[Slot],
    *,
    dry_run: bool,
    since: datetime | None,
    quiet: bool,
) -> "Outcome":
    from registrar.recovery.service import Plan  # noqa: PLC0415 - as in `common.build`
    from registrar.turn import UNRESTRICTED  # noqa: PLC0415

    plan = Plan(
        dict.fromkeys(slots, "by-hand"),
        since_ms=None if since is None else int(since.timestamp() * 1000),
        is_dry_run=dry_run,
        mutex_wait_s=recovery.mutex.ttl_s + 1,
    )
    with _progress_bar(slots, quiet=quiet) as on_position:
        return recovery.run(plan, UNRESTRICTED, on_position)


@contextmanager
def _progress_bar(slots: list[Slot], *, quiet: bool) -> "Iterator[Callable[[Position], None]]":
    """A progress bar on standard error, if that is a terminal."""
    from rich.console import Console  # noqa: PLC0415 - rich takes long to import
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[upgrades]} upgrades, {task.fields[calls]} calls"),
        TimeElapsedColumn(),
    )
    is_shown = console.is_terminal and not quiet
    with Progress(*columns, console=console, disable=not is_shown) as progress:
        task = progress.add_task("sweep", total=len(slots), upgrades=0, calls=0)

        def on_position(position: "Position") -> None:
            progress.update(
                task,
                description=f"{position.slot} {position.status}",
                completed=slots.index(position.slot) + position.done / position.statuses,
                upgrades=position.upgrades,
                calls=position.calls,
            )

        yield on_position


def _show(recovery: "Recovery", outcome: "Outcome", *, as_json: bool) -> None:
    from registrar.recovery.records.findings import findings  # noqa: PLC0415

    state = recovery.state(outcome.store)
    found = [one for slot in outcome.records for one in findings(slot, outcome.store)]
    if as_json:
        content = {
            **json.loads(state.to_json()),
            "calls": outcome.calls,
            "seconds": round(outcome.seconds, 3),
            "queued": outcome.queued,
            "errors": {str(slot): str(error) for slot, error in outcome.errors.items()},
            "upgrades": [one.data() for one in found],
        }
        click.echo(json.dumps(content, indent=2))
        return
    from registrar.cli import recovery_table  # noqa: PLC0415 - rich takes long to import

    recovery_table.show(state, found, outcome)
