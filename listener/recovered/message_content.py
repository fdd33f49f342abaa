"""A recovered message: a report of ThingSpace's REST API as a message of the queue, never dressed up as a callback. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from listener.messages.kinds import KINDS_BY_NAME
from listener.messages.message import TYPE_PREFIX, Message, fingerprint
from listener.messages.payload import serialize
from listener.recovered.recovery_state import Report
from listener.times import timestamp

TYPE_INFIX = "recovered."
# A device's telephone number.
REMOVED = "mdn"


def content_of(report: Report, kind: str) -> dict[str, Any]:
    """The `data` of a recovered message: the REST object as it came, in a member of its own, without telephone numbers.

    It says nothing of when the report was read, so that the same report is the same content. It names the kind
    and the upgrade, since one report can prove several messages due, and a device's report names no upgrade: each
    message has an id of its own.
    """
    about = {
        "kind": kind,
        "upgradeId": report.upgrade_id,
        "version": report.version,
        "call": report.call,
        "status": report.status,
    }
    if report.device_id is not None:
        about["deviceId"] = report.device_id
    return {
        "accountName": report.account,
        "recovered": about,
        "report": _without_telephone_numbers(report.content),
    }


def message_of(content: Mapping[str, Any], *, arrived: datetime, request_id: str) -> Message:
    """The message that carries what `content_of` returned.

    Args:
        content: of the message.
        arrived: when the report was read, with a time zone.
        request_id: a name for what made the message.

    Raises:
        KeyError: there is no such kind.
    """
    about = content["recovered"]
    return Message(
        id=fingerprint(content),
        kind=about["kind"],
        type=f"{TYPE_PREFIX}{TYPE_INFIX}{KINDS_BY_NAME[about['kind']].type}",
        account=content["accountName"],
        # As the callbacks name it, so that the messages of an upgrade share a partition.
        subject=about["upgradeId"],
        time=timestamp(arrived),
        request_id=request_id,
        data=serialize(content),
        basis=about["call"],
    )


def _without_telephone_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _without_telephone_numbers(member)
            for name, member in value.items()
            if name.strip().lower() != REMOVED
        }
    if isinstance(value, list | tuple):
        return [_without_telephone_numbers(member) for member in value]
    return value
