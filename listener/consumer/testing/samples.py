"""A sample message of every kind, as ThingSpace would send it, with members of your choice."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from listener.consumer.handlers.signature import CLASSES
from listener.consumer.messages import typed_sample
from listener.messages.kinds import KIND_NAMES, KINDS_BY_NAME, UNKNOWN, Message
from listener.messages.members import Class, Kind, members_of
from listener.messages.payload import without_credentials
from listener.recovered.message_content import content_of, message_of
from listener.recovered.recovery_state import RECOVERABLE_KINDS, Report

# The file's name says what it stands for: a structure that is not public.
FILES = {UNKNOWN: "unrecognised-v2"}
ENVELOPE_ATTRIBUTES = {"account": "accountName", "participant_name": "participantName"}


def sample(kind: str | type[Message], /, **attributes: Any) -> dict[str, Any]:
    """A sample message of a kind, for `Consumer.dispatch`, `listener.consumer.message` and `InMemoryRun.add`.

    The samples are modelled on the provider's documentation and on replies of its REST API; they are no
    recorded traffic. They have no credentials. Each call makes a new object.

    Args:
        kind: a name, such as `"upgrade-finished"`, or a message class.
        attributes: what is to differ, by the attributes of the message's class: `upgrade_id="u-1"`. Objects
            in lists are mappings: `devices=[{"device_id": "1"}]`. None leaves the member out. Of kind
            `unknown`: the members themselves.

    Raises:
        ValueError: there is no such kind.
        TypeError: its messages have no such attribute.
    """
    name = kind if isinstance(kind, str) else _name_of(kind)
    if name not in KIND_NAMES:
        raise ValueError(f"there is no kind {kind!r}; the kinds are {', '.join(KIND_NAMES)}")
    found, data = KINDS_BY_NAME.get(name), _read(name)
    own = _own_members(found) if found else {}
    for attribute, value in attributes.items():
        if attribute in ENVELOPE_ATTRIBUTES:
            _set(data, ENVELOPE_ATTRIBUTES[attribute], value)
        elif found is None:
            _set(data, attribute, value)
        elif attribute not in own:
            known = ", ".join((*own, *ENVELOPE_ATTRIBUTES))
            raise TypeError(f"{name} has no attribute {attribute!r}; it has: {known}")
        else:
            member, items = own[attribute]
            plain = [_wire_names(items, each) for each in value] if items and value else value
            # Of a kind that is a list, the container itself is the list.
            _set(data if member == found.type else data[found.type], member, plain)
    return data


def samples() -> dict[str, dict[str, Any]]:
    """A sample of every kind, by the kind's name."""
    return {name: sample(name) for name in KIND_NAMES}


def recovered_sample(
    kind: str | type[Message],
    /,
    report: Mapping[str, Any],
    *,
    upgrade_id: str,
    status: str = "Finished",
    device_id: str | None = None,
    account: str = "0242078689-00001",
    version: str = "v1",
    arrived: datetime | None = None,
) -> Message:
    """A message that ThingSpace never sent, as the registrar makes it of a report and a handler gets it.

    Args:
        kind: a name, such as `"upgrade-finished"`, or a message class.
        report: the object of ThingSpace's REST API.
        upgrade_id: of the upgrade that it is about.
        status: ThingSpace's word for the state of the upgrade, or of the device.
        device_id: the device that it is about; None: the whole upgrade.
        account: of the upgrade.
        version: of the API.
        arrived: when the report was read, with a time zone; None: now.

    Raises:
        ValueError: there is no such kind, or it is not about an upgrade.
    """
    name = kind if isinstance(kind, str) else _name_of(kind)
    if name not in RECOVERABLE_KINDS:
        raise ValueError(f"{kind!r} is not recovered, but {', '.join(RECOVERABLE_KINDS)} are")
    call = f"GET /fota/{version}/upgrades/{account}/upgrade/{upgrade_id}"
    made_of = Report(account, version, upgrade_id, status, call, report, device_id)
    message = message_of(
        content_of(made_of, name),
        arrived=arrived or datetime.now(UTC),
        request_id="sample",
    )
    return typed_sample(message)


def _name_of(message_class: type[Message]) -> str:
    return next((name for name, each in CLASSES.items() if each is message_class), "")


def _read(name: str) -> dict[str, Any]:
    folder = resources.files("listener.messages") / "samples"
    text = (folder / f"{FILES.get(name, name)}.json").read_text("utf-8")
    return dict(without_credentials(json.loads(text)))


def _own_members(kind: Kind) -> dict[str, tuple[str, Class | None]]:
    """The member and the class of its objects, if it is a list, by attribute."""
    if kind.elements_attribute:
        return {kind.elements_attribute: (kind.type, kind.items)}
    members = members_of(kind.message)
    return {attribute: (member.name, member.items) for attribute, member in members.items()}


def _wire_names(items: Class, value: Mapping[str, Any]) -> dict[str, Any]:
    """An object with the provider's names; names that are no attributes stay as they are."""
    names = {attribute: member.name for attribute, member in members_of(items).items()}
    return {names.get(name, name): each for name, each in value.items()}


def _set(container: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        container.pop(name, None)
    else:
        container[name] = value
