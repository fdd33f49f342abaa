"""The shapes of the messages: marshmallow schemas of the envelope and the containers.

The public text on the v1 structure is incomplete, and a message that is refused is lost. So the
schemas check only what a consumer must be able to rely on: that a list is a list and an object is an
object. Unknown members pass through. The known leaves are described for `json_schemas.py`; they are
not checked.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, fields

from listener.messages.kinds import ENVELOPE, KINDS
from listener.messages.members import Kind, Member
from listener.messages.shape import EMPTY

Payload = Mapping[str, Any]


def described(members: Iterable[Member]) -> type[Schema]:
    """A schema in which known members are described; each may be of any type, or absent."""
    return Schema.from_dict(
        {
            member.name: fields.Raw(
                metadata={"description": member.description, "x-basis": member.basis}
            )
            for member in members
        }
    )


def described_object(members: Iterable[Member]) -> fields.Field[Any]:
    """An object whose known members are described, not checked: that would cost every request."""
    return fields.Dict(metadata={"members": described(members)})


class ObjectList(fields.List[Any]):
    """A list of objects; the first wrong one is reported, as reporting each of a million takes seconds."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.make_error("invalid")
        return value


class ContainerField(fields.Field[Any]):
    """A container that applies to messages of its own type; elsewhere it may be sent empty.

    The documentation says that elements that do not apply are sent empty and shows `[]`; how each of
    them looks when empty is not known, so every empty JSON value passes.
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__(allow_none=True)
        self.type_ = kind.type
        # An upgrade's id comes first: it is what a reader looks for.
        members = sorted(kind.members, key=lambda member: member.name != "upgradeId")
        content = described_object(members)
        self.shape = ObjectList(content) if kind.items else content

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> Any:
        if value in EMPTY and data.get("type") != self.type_:
            return value
        return self.shape.deserialize(value, attr, data)


class _Open(Schema):
    class Meta:
        """Unknown members pass."""

        unknown = INCLUDE


OF_EVERY_MESSAGE = described(ENVELOPE)
_Envelope = _Open.from_dict(
    {
        "type": fields.String(required=True),
        **{kind.type: ContainerField(kind) for kind in KINDS},
    }
)
ENVELOPE_SCHEMA = _Envelope()
"""What every message of the v1 structure has."""


def problems(payload: Payload) -> list[str]:
    """The names of the members of the envelope that the schema refuses."""
    return sorted(ENVELOPE_SCHEMA.validate(payload))
