"""A kind's class declares which members a message of it has, whatever the container's form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from marshmallow import ValidationError

from listener.messages.kinds import Device, Message
from listener.messages.members import Kind, elements, likely, members_of
from listener.messages.schemas import ContainerField


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected(Message):
    devices: tuple[Device, ...] = field(metadata=elements(Device))


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused(Message):
    reason: str | None = field(metadata=likely("pauseReason", "A text."))
    devices: tuple[Device, ...] = field(metadata=likely("all", "Devices.", items=Device))


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted(Message):
    pass


LIST_KIND = Kind("devices-rejected", "rejectedDevices", "Devices were rejected.", Rejected)
OBJECT_KIND = Kind("upgrade-paused", "upgradePaused", "An upgrade was paused.", Paused)
BARE_KIND = Kind("noted", "note", "A note.", Noted)
DEVICE = {"deviceId": "1", "status": "Device Rejected", "since": 3}
READ = Device(device_id="1", status="Device Rejected", result_reason=None, extra={"since": 3})


@pytest.mark.parametrize(
    ("kind", "container", "attributes"),
    [
        (LIST_KIND, [DEVICE, 7, None], {"devices": (READ,), "extra": {}}),
        (LIST_KIND, {"deviceId": "1"}, {"devices": (), "extra": {}}),
        (
            OBJECT_KIND,
            {"pauseReason": "r", "all": [DEVICE], "reason": "other"},
            {"reason": "r", "devices": (READ,), "extra": {"reason": "other"}},
        ),
        (OBJECT_KIND, {"all": DEVICE}, {"reason": None, "devices": (), "extra": {}}),
        (OBJECT_KIND, None, {"reason": None, "devices": (), "extra": {}}),
        (BARE_KIND, {"a": 1}, {"extra": {"a": 1}}),
    ],
)
def test_container_is_read_as_its_kind_declares(
    kind: Kind, container: Any, attributes: Mapping[str, Any]
) -> None:
    assert kind.read(container) == attributes


@pytest.mark.parametrize(
    ("kind", "valid", "invalid"),
    [(LIST_KIND, [{}], {"a": 1}), (OBJECT_KIND, {}, [1]), (BARE_KIND, {}, "text")],
)
def test_schema_of_a_container_has_the_form_that_its_kind_declares(
    kind: Kind, valid: Any, invalid: Any
) -> None:
    container = ContainerField(kind)
    own = {"type": kind.type}
    assert container.deserialize(valid, kind.type, own) == valid
    assert container.deserialize("", kind.type, {"type": "another"}) == ""
    with pytest.raises(ValidationError):
        container.deserialize(invalid, kind.type, own)
    with pytest.raises(ValidationError):
        container.deserialize("", kind.type, own)


def test_members_of_a_list_are_those_of_its_objects() -> None:
    assert LIST_KIND.members == tuple(members_of(Device).values())
    assert [member.name for member in OBJECT_KIND.members] == ["pauseReason", "all"]
    assert BARE_KIND.members == ()
