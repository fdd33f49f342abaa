"""The shapes of the messages: the envelope and the containers, never their leaves.

The public text on the v1 structure is incomplete, and a message that is refused is lost. So the
schemas check only what a consumer must be able to rely on: that a list is a list and a group is a
group. What is unknown passes through. The leaves that are known of are described for
`json_schemas.py`; nobody checks them.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, fields

from listener.errors import WrongShapeError

Payload = Mapping[str, Any]

EMPTY: tuple[Any, ...] = ("", [], {})
"""How a container that does not apply may be sent, besides null."""


def documented(text: str) -> fields.Field[Any]:
    """A member that the provider's documentation names. It may be of any type, or absent."""
    return fields.Raw(metadata={"description": text, "x-basis": "documented"})


def likely(text: str) -> fields.Field[Any]:
    """A member that is only likely: REST replies, or other messages, have it by that name."""
    return fields.Raw(metadata={"description": text, "x-basis": "likely"})


def group(**members: fields.Field[Any]) -> fields.Field[Any]:
    """An object whose known members are described, not checked: that would cost every request."""
    return fields.Dict(metadata={"members": Schema.from_dict(members)})


WHAT = "The firmware's name."
DEVICE = "The device's IMEI: 15 digits, as a text."
UPGRADE = (
    "The UUID that the request for the upgrade returned. Every message about an upgrade has it"
)

FIRMWARE = group(
    firmwareName=documented(WHAT),
    participantName=documented("Not explained by what is public."),
    launchDate=documented("A date in one of several forms, with or without a time of day."),
    releaseNote=documented("A text; may be empty."),
    model=documented("The devices' model."),
    make=documented("The devices' make."),
    fromVersion=documented("The version from which the firmware leads."),
    toVersion=documented("The version to which it leads."),
)
SCHEDULED = group(
    upgradeId=documented(f"{UPGRADE}."),
    firmwareName=documented(WHAT),
    startDate=documented("A date in one of several forms."),
    deviceList=likely("Objects with `deviceId` (an IMEI), `status` and `resultReason`."),
)
STARTED = group(
    upgradeId=likely(f"{UPGRADE}; where is likely."),
    firmwareName=likely(WHAT),
    deviceId=likely(DEVICE),
    status=likely("Such as `InProgress`."),
    upgradeStartTime=likely("A date in one of several forms."),
)
FINISHED = group(
    upgradeId=likely(f"{UPGRADE}; where is likely."),
    firmwareName=likely(WHAT),
    deviceId=likely(DEVICE),
    status=likely("Such as `UpgradeSuccess` or `UpgradeFailed`."),
    reason=likely("A text."),
    upgradeFinishTime=likely("A date in one of several forms."),
)
OF_EVERY_MESSAGE = Schema.from_dict(
    {
        "accountName": documented("The account, such as `0242078689-00001`."),
        "participantName": documented("Not explained by what is public."),
    }
)


class Groups(fields.List[Any]):
    """A list of groups, whose first wrong one is enough: telling of each of a million takes seconds."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.make_error("invalid")
        return value


class Applicable(fields.Field[Any]):
    """A container that applies to the message's type only: elsewhere it may be sent empty.

    The documentation says that elements that do not apply are sent empty and shows `[]`; how each of
    them looks when empty is not known, so every empty JSON value passes.
    """

    def __init__(self, shape: fields.Field[Any], *, type_: str) -> None:
        """Takes the container's shape and the provider's type to which it applies."""
        super().__init__(allow_none=True)
        self.shape = shape
        self.type_ = type_

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value in EMPTY and data.get("type") != self.type_:
            return value
        return self.shape.deserialize(value, attr, data, **kwargs)


class Envelope(Schema):
    """What every message of the v1 structure has."""

    class Meta:
        """Unknown members pass."""

        unknown = INCLUDE

    type = fields.String(required=True)
    firmwareList = Applicable(Groups(FIRMWARE), type_="firmwareList")  # noqa: N815 (the provider's names)
    upgradeScheduled = Applicable(SCHEDULED, type_="upgradeScheduled")  # noqa: N815
    upgradeProgress = Applicable(STARTED, type_="upgradeProgress")  # noqa: N815
    upgradeFinished = Applicable(FINISHED, type_="upgradeFinished")  # noqa: N815


ENVELOPE = Envelope()
CONTAINERS: tuple[tuple[str, str, bool], ...] = tuple(
    (name, field.type_, isinstance(field.shape, fields.List))
    for name, field in ENVELOPE.fields.items()
    if isinstance(field, Applicable)
)
"""What the envelope says, for `_obviously_valid`: each container, its type, and whether it is a list."""


def check(payload: Payload, type_: str) -> None:
    """Checks the envelope and the containers of a message of a recognised type.

    Raises:
        RefusalError: `wrong-shape`; the detail names the members, not their values.
    """
    if _obviously_valid(payload, type_):
        return
    if problems := ENVELOPE.validate(payload):
        raise WrongShapeError(", ".join(sorted(problems)))


def _obviously_valid(payload: Payload, type_: str) -> bool:
    """Whether all containers are plainly as the envelope wants them, as they nearly always are.

    True only where the envelope has nothing against it, which a test holds against it; what is not
    plain the envelope decides. That saves a good part of a message's time.
    """
    for name, own_type, is_list in CONTAINERS:
        value = payload.get(name)
        if name not in payload or (own_type != type_ and value in EMPTY):
            continue
        groups = value if is_list and isinstance(value, list) else [value]
        if is_list != (groups is value) or not all(isinstance(group, dict) for group in groups):
            return False
    return True
