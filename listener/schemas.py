"""The shapes of the messages: the envelope and the containers, never their leaves.

The public text on the v1 structure is incomplete, and a message that is refused is lost. So the
schemas check only what a consumer must be able to rely on: that a list is a list and a group is a
group. What is unknown passes through.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, fields

from listener.errors import RefusalError
from listener.thingspace import KINDS

Payload = Mapping[str, Any]


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
        if value in ("", [], {}) and data.get("type") != self.type_:
            return value
        return self.shape.deserialize(value, attr, data, **kwargs)


class Envelope(Schema):
    """What every message of the v1 structure has."""

    class Meta:
        """Unknown members pass."""

        unknown = INCLUDE

    type = fields.String(required=True)
    firmwareList = Applicable(  # noqa: N815 (the provider's names)
        fields.List(fields.Dict()), type_="firmwareList"
    )
    upgradeScheduled = Applicable(fields.Dict(), type_="upgradeScheduled")  # noqa: N815
    upgradeProgress = Applicable(fields.Dict(), type_="upgradeProgress")  # noqa: N815
    upgradeFinished = Applicable(fields.Dict(), type_="upgradeFinished")  # noqa: N815


ENVELOPE = Envelope()


def type_of(payload: Payload) -> str | None:
    """The provider's `type`, if the message has one that is a text."""
    type_ = payload.get("type")
    return type_ if isinstance(type_, str) and type_ else None


def check(payload: Payload) -> None:
    """Checks the envelope and the containers of a message of a recognised type; passes all others.

    Raises:
        RefusalError: `wrong-shape`; the detail names the members, not their values.
    """
    if type_of(payload) not in KINDS:
        return
    if problems := ENVELOPE.validate(payload):
        raise RefusalError("wrong-shape", ", ".join(sorted(problems)))
