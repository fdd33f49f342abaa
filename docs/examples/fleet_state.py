"""Keeps the state and the history of every upgrade and device in a database: a consumer to start from.

    export REDIS_URL=redis://localhost:6379/0 DATABASE_URL=sqlite:///fleet.sqlite3
    python fleet_state.py consume       # as many processes as you like
    python fleet_state.py upgrades      # one line for each upgrade
    python fleet_state.py devices       # one line for each device of an upgrade
    python fleet_state.py upgrade ID    # an upgrade, its devices, and what was said of them, in order;
                                        # the first eight characters of an id, as in `tail`, will do
    python fleet_state.py device IMEI   # what happened to a device, in all its upgrades

With SQLAlchemy 2 and SQLite, or PostgreSQL and its driver: postgresql+psycopg://…

A message is applied in one transaction with a note of its id: a second delivery changes nothing.
Messages may come in any order. A row is replaced as a whole by the message that tells more: what is
later in the life of an upgrade, then what arrived later. So a `started` that comes behind
`finished` changes nothing; a device that an upgrade tries again shows `finished` meanwhile.
What ThingSpace sent counts before what was recovered for the same stage (see docs/queue.md), whichever came first.
The history has a row for each device that a message names, and so shows what the states leave out.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

import click
from sqlalchemy import Engine, case, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from listener import logs
from listener.consumer import Consumer, Message, UpgradeFinished, UpgradeScheduled, UpgradeStarted

SCHEDULED, STARTED, FINISHED = 1, 2, 3
# `tail` shows as many of an upgrade's id.
MIN_ID_CHARS = 8
STAGES = {SCHEDULED: "scheduled", STARTED: "started", FINISHED: "finished"}


class Base(DeclarativeBase):
    """All tables."""


class Handled(Base):
    """The id of each message that was applied. Old rows may be deleted."""

    __tablename__ = "handled"
    id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[str] = mapped_column(index=True)


class Row:
    """What the tables of states share: of two messages, the one with the greater order is kept."""

    rank: Mapped[int]
    # As in the entry: RFC 3339 in UTC, always of the same length, so that it sorts as a text.
    time: Mapped[str]
    message_id: Mapped[str]
    # Whether ThingSpace sent it; otherwise it was recovered.
    sent: Mapped[bool]

    def order(self) -> tuple[int, bool, str, str]:
        return self.rank, self.sent, self.time, self.message_id


class Upgrade(Row, Base):
    """An upgrade. Its rank is 1 if it was told by `scheduled`: only that has a start date."""

    __tablename__ = "upgrades"
    account: Mapped[str] = mapped_column(primary_key=True)
    upgrade_id: Mapped[str] = mapped_column(primary_key=True)
    firmware: Mapped[str | None]
    start_date: Mapped[str | None]


class Device(Row, Base):
    """A device in one upgrade. Its rank is its stage."""

    __tablename__ = "devices"
    account: Mapped[str] = mapped_column(primary_key=True)
    upgrade_id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str | None]
    reason: Mapped[str | None]


class Event(Base):
    """What a message said of a device, or of an upgrade alone: then the device is empty."""

    __tablename__ = "events"
    message_id: Mapped[str] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(primary_key=True, index=True)
    account: Mapped[str]
    upgrade_id: Mapped[str] = mapped_column(index=True)
    time: Mapped[str]
    stage: Mapped[int]
    status: Mapped[str | None]
    reason: Mapped[str | None]


def text(value: Any) -> str | None:
    """A member as a text for a column: the provider documents texts, and may send anything."""
    if value is None:
        return None
    plain = value if isinstance(value, str) else json.dumps(value)
    # PostgreSQL keeps every character but this one.
    return plain.replace("\0", "")


def consumer_for(engine: Engine, **options: Any) -> Consumer:
    """The consumer that keeps the tables; it makes those that do not exist."""
    Base.metadata.create_all(engine)
    consumer = Consumer.from_env(group=os.environ.get("GROUP", "fleet-state"), **options)

    @consumer.on("upgrade-scheduled")
    def scheduled(message: UpgradeScheduled) -> None:
        devices = [(each.device_id, each.status, each.result_reason) for each in message.devices]
        apply(engine, message, SCHEDULED, devices, start_date=text(message.start_date))

    @consumer.on("upgrade-started")
    def started(message: UpgradeStarted) -> None:
        apply(engine, message, STARTED, [(message.device_id, message.status, None)])

    @consumer.on("upgrade-finished")
    def finished(message: UpgradeFinished) -> None:
        device = (message.device_id, message.status, message.reason)
        apply(engine, message, FINISHED, reported_devices(message) or [device])

    return consumer


def reported_devices(message: Message) -> list[tuple[Any, Any, Any]]:
    """The devices of an upgrade whose end was recovered as a whole, with their states."""
    devices = message.recovered.report.get("deviceList") if message.recovered else None
    listed = devices if isinstance(devices, list) else ()
    finds = [each.get for each in listed if isinstance(each, dict)]
    return [(find("deviceId"), find("status"), find("resultReason")) for find in finds]


def apply(
    engine: Engine,
    message: UpgradeScheduled | UpgradeStarted | UpgradeFinished,
    stage: int,
    devices: Sequence[tuple[Any, Any, Any]],
    start_date: str | None = None,
) -> None:
    """Brings the tables up to date, all or nothing.

    Two processes may meet at the same new row: one of them fails, and is given the message again.
    """
    with Session(engine) as session, session.begin():
        if session.get(Handled, message.id):
            return
        session.add(Handled(id=message.id, time=message.time_text))
        key = {"account": text(message.account) or "", "upgrade_id": text(message.subject) or ""}
        about = {"firmware": text(message.firmware_name), "start_date": start_date}
        keep(session, Upgrade(**key, **about, **origin(message, int(stage == SCHEDULED))))
        # Of a device that a message names twice the first counts.
        said = {text(device) or "": said for device, *said in reversed(devices)} or {"": [None] * 2}
        for device_id, (status, reason) in said.items():
            state = {"device_id": device_id, "status": text(status), "reason": text(reason)}
            event = {"message_id": message.id, "time": message.time_text, "stage": stage}
            session.add(Event(**key, **state, **event))
            if device_id:
                keep(session, Device(**key, **state, **origin(message, stage)))


def origin(message: Message, rank: int) -> dict[str, Any]:
    """The columns of `Row`."""
    about = {"time": message.time_text, "message_id": message.id}
    return {"rank": rank, "sent": message.recovered is None, **about}


def keep(session: Session, new: Upgrade | Device) -> None:
    """Puts a row in the place of one that tells less."""
    key = tuple(new.__mapper__.primary_key_from_instance(new))
    old: Any = session.get(type(new), key, with_for_update=True)
    if old is None or old.order() < new.order():
        session.merge(new)
        session.flush()


def history(session: Session, *wanted: Any) -> None:
    """Prints the events in order of arrival; those of one message by device."""
    for event in session.scalars(
        select(Event).where(*wanted).order_by(Event.time, Event.message_id, Event.device_id)
    ):
        about = (event.upgrade_id, event.device_id, STAGES[event.stage])
        click.echo(printable(event.time, *about, event.status, event.reason))


def is_upgrade(column: Any, upgrade_id: str) -> Any:
    """The condition that a column has this id of an upgrade, or one that begins so."""
    if len(upgrade_id) < MIN_ID_CHARS:
        return column == upgrade_id
    return column.startswith(upgrade_id, autoescape=True)


def printable(*cells: object) -> str:
    """One line for a terminal: a sender's text must not hold control characters there."""
    line = "  ".join("-" if cell in (None, "") else str(cell) for cell in cells)
    return "".join(letter if letter.isprintable() else "?" for letter in line)


@click.group()
@click.option("--database-url", envvar="DATABASE_URL", default="sqlite:///fleet.sqlite3")
@click.pass_context
def main(context: click.Context, database_url: str) -> None:
    """Keeps, and prints, the state of every upgrade and device."""
    context.obj = create_engine(database_url)
    context.call_on_close(context.obj.dispose)
    Base.metadata.create_all(context.obj)


@main.command()
@click.pass_obj
def consume(engine: Engine) -> None:
    """Keep the tables up to date until SIGTERM or Ctrl-C."""
    logs.configure("text", "info")
    consumer_for(engine).run()


def print_upgrades(session: Session, *wanted: Any) -> int:
    """Prints a line for each upgrade, with its devices by stage; returns how many there are."""
    at = [func.sum(case((Device.rank == stage, 1), else_=0)) for stage in STAGES]
    same = (Device.account == Upgrade.account) & (Device.upgrade_id == Upgrade.upgrade_id)
    counted = (
        select(Upgrade, *at)
        .outerjoin(Device, same)
        .where(*wanted)
        .group_by(Upgrade.account, Upgrade.upgrade_id)
        .order_by(Upgrade.time)
    )
    rows = session.execute(counted).all()
    for upgrade, *counts in rows:
        by_stage = [f"{name} {n or 0}" for name, n in zip(STAGES.values(), counts, strict=True)]
        about = (upgrade.account, upgrade.upgrade_id, upgrade.firmware, upgrade.start_date)
        click.echo(printable(*about, ", ".join(by_stage)))
    return len(rows)


def print_devices(session: Session, *wanted: Any) -> int:
    """Prints a line for each device of each upgrade; returns how many there are."""
    order = (Device.account, Device.device_id, Device.time)
    rows = session.scalars(select(Device).where(*wanted).order_by(*order)).all()
    for row in rows:
        state = (STAGES[row.rank], row.status, row.reason, row.time)
        click.echo(printable(row.account, row.device_id, row.upgrade_id, *state))
    return len(rows)


@main.command()
@click.pass_obj
def upgrades(engine: Engine) -> None:
    """Print each upgrade with its firmware, start date and devices by stage."""
    with Session(engine) as session:
        print_upgrades(session)


@main.command()
@click.option("--upgrade", metavar="ID", help="Only the devices of this upgrade.")
@click.pass_obj
def devices(engine: Engine, upgrade: str | None) -> None:
    """Print each device of each upgrade with its stage, status, reason and when that came."""
    with Session(engine) as session:
        print_devices(session, *([is_upgrade(Device.upgrade_id, upgrade)] if upgrade else []))


@main.command("upgrade")
@click.argument("upgrade_id", metavar="ID")
@click.pass_obj
def one_upgrade(engine: Engine, upgrade_id: str) -> None:
    """Print an upgrade, the last state of its devices, and its history."""
    with Session(engine) as session:
        if not print_upgrades(session, is_upgrade(Upgrade.upgrade_id, upgrade_id)):
            raise click.ClickException(f"no message was about the upgrade {upgrade_id!r}")
        click.echo("\ndevices")
        print_devices(session, is_upgrade(Device.upgrade_id, upgrade_id))
        click.echo("\nhistory")
        history(session, is_upgrade(Event.upgrade_id, upgrade_id))


@main.command("device")
@click.argument("device_id", metavar="IMEI")
@click.pass_obj
def one_device(engine: Engine, device_id: str) -> None:
    """Print the last state of a device in each of its upgrades, and its history."""
    with Session(engine) as session:
        if not print_devices(session, Device.device_id == device_id):
            raise click.ClickException(f"no message was about the device {device_id!r}")
        click.echo("\nhistory")
        history(session, Event.device_id == device_id)


if __name__ == "__main__":
    main()
