"""The shapes of the messages: marshmallow schemas of the envelope and the containers.

The public text on the v1 structure is incomplete, and a message that is refused is lost. So the
schemas check only what a consumer must be able to rely on: that a list is a list and an object is an
object. Unknown members pass through. The known leaves are described for `json_schemas.py`; they are
not checked.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import INCLUDE, Schema, fields

from listener.errors import WrongShapeError
from listener.messages.kinds import ENVELOPE, KINDS
from listener.messages.members import Kind, Member

Payload = Mapping[str, Any]

EMPTY: tuple[Any, ...] = ("", [], {})
"""How a container that does not apply may be sent, besides null."""


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

_CONTAINERS = tuple((kind.type, dict if kind.items is None else list) for kind in KINDS)


def check(payload: Payload, type_: str) -> None:
    """Checks the envelope and the containers of a message of a known type. Marshmallow is the judge.

    Raises:
        RefusalError: `wrong-shape`; the detail names the members, not their values.
    """
    if _obviously_valid(payload, type_):
        return
    if problems := ENVELOPE_SCHEMA.validate(payload):
        raise WrongShapeError(", ".join(sorted(problems)))


def _obviously_valid(payload: Payload, type_: str) -> bool:
    """Whether the containers are in the form that nearly all are in, which the schema accepts.

    Marshmallow takes twice as long as everything else that makes a message of a payload. True only
    where the schema accepts, which a test compares; false decides nothing.
    """
    for name, shape in _CONTAINERS:
        if name not in payload:
            continue
        value = payload[name]
        if name != type_ and value in EMPTY:
            continue
        if not isinstance(value, shape):
            return False
        if shape is list and not all(isinstance(item, dict) for item in value):
            return False
    return True
