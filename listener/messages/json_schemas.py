"""The messages as JSON Schemas (draft 2020-12), made from the marshmallow schemas. Pure.

The schema of a kind accepts exactly the messages that the receiver accepts as that kind and, where the kind is about
an upgrade, the data of recovered messages. `docs/schemas/` holds the schemas, for consumers in any language.
"""

import json
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import INCLUDE, Schema, fields, validate

from listener.messages import schemas, shape, trace_context
from listener.messages.kinds import KIND_NAMES, KINDS, KINDS_BY_NAME, RECOVERED, UNKNOWN
from listener.messages.members import Kind

JsonSchema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENTRY = "entry"
NAMES = (*KIND_NAMES, ENTRY)
"""The names of the schemas: of the data of each kind, and of the entry that carries it."""

UNKNOWN_MEANING = (
    "Anything else that ThingSpace sends: its second and third structures are not public."
)
BASIS = (
    "x-basis tells what a member rests on: 'documented' (the provider's pages name it) or 'likely' "
    "(REST replies or other messages have it by that name). Leaves are texts as far as is "
    "documented; the receiver passes any type, and so does this schema."
)


class RecoveredMemberSchema(Schema):
    """The member `recovered` of a recovered message's data."""

    class Meta:
        """More members may come in a later version."""

        unknown = INCLUDE

    kind = fields.String(
        required=True, metadata={"description": "The kind of the entry: part of the content."}
    )
    upgradeId = fields.String(  # noqa: N815 (the member's name)
        required=True, metadata={"description": "The upgrade's id, as in `subject`."}
    )
    version = fields.String(required=True, validate=validate.OneOf(("v1", "v2", "v3")))
    call = fields.String(
        required=True, metadata={"description": "The call that showed it, as in `basis`."}
    )
    status = fields.String(
        required=True,
        metadata={"description": "ThingSpace's word for the state of the upgrade, or the device."},
    )
    deviceId = fields.String(  # noqa: N815 (the member's name)
        metadata={"description": "The device that the report is about; absent: the whole upgrade."}
    )


class EntrySchema(Schema):
    """An entry of the stream: the attributes of a CloudEvents 1.0 event, each a field."""

    class Meta:
        """More fields may come in a later version."""

        unknown = INCLUDE

    specversion = fields.String(required=True, validate=validate.Equal("1.0"))
    id = fields.String(
        required=True,
        validate=validate.Regexp(r"^[0-9a-f]{32}$"),
        metadata={
            "description": "Fingerprint of the data: the same content has the same id, whatever its attempt counters."
        },
    )
    source = fields.String(
        required=True,
        validate=validate.Regexp(r"^/thingspace/fota(/[^/]+)?$"),
        metadata={"description": "With the account, percent-encoded, if the message names one."},
    )
    type = fields.String(
        required=True, validate=validate.Regexp(r"^com\.verizon\.thingspace\.fota\.[\s\S]+$")
    )
    subject = fields.String(
        validate=validate.Length(min=1), metadata={"description": "The upgrade's id."}
    )
    time = fields.String(
        required=True,
        validate=validate.Regexp(
            r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"
        ),
        metadata={
            "description": "When the message arrived, or when the report of a recovered one was read."
        },
    )
    datacontenttype = fields.String(required=True, validate=validate.Equal("application/json"))
    data = fields.String(
        required=True,
        metadata={"description": "The message as received, as JSON, without credentials."},
    )
    kind = fields.String(required=True, validate=validate.OneOf(KIND_NAMES))
    account = fields.String(validate=validate.Length(min=1))
    requestid = fields.String(required=True)
    origin = fields.String(
        validate=validate.Equal(RECOVERED),
        metadata={"description": "Only of a recovered message, which ThingSpace did not send."},
    )
    basis = fields.String(
        validate=validate.Length(min=1),
        metadata={"description": "Of a recovered message: the call whose report it was made of."},
    )
    traceparent = fields.String(
        validate=validate.Regexp(trace_context.FORM),
        metadata={
            "description": "W3C Trace Context of the request that brought the message, if there is one."
        },
    )


def schema_of(name: str) -> JsonSchema:
    """The JSON Schema of a kind's `data`, or of the whole `entry`.

    Raises:
        KeyError: there is none of that name; see `NAMES`.
    """
    if name == ENTRY:
        return _entry()
    if name == UNKNOWN:
        return _unknown()
    return _known(KINDS_BY_NAME[name])


def as_text(schema: JsonSchema) -> str:
    """Indented JSON with a line feed at its end, as in `docs/schemas/`."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _known(kind: Kind) -> JsonSchema:
    convert = _converter(kind.type).schema2jsonschema
    members = convert(schemas.OF_EVERY_MESSAGE)["properties"]
    schema = convert(schemas.ENVELOPE_SCHEMA)
    schema["properties"] = {**members, **schema["properties"], "type": {"const": kind.type}}
    if kind.stage:
        schema["anyOf"] = [{"required": schema.pop("required")}, _recovered()]
    return {**_head(kind.name, kind.meaning), **schema}


def _recovered() -> JsonSchema:
    """What the data of a recovered message has instead of the provider's `type`."""
    about = _converter("").schema2jsonschema(RecoveredMemberSchema)
    report = {
        "type": "object",
        "description": "The object of the REST API, without telephone numbers.",
    }
    return {
        "title": "The data of a recovered message, whose entry has an `origin`",
        "properties": {
            "accountName": {"type": "string"},
            "recovered": about,
            "report": report,
        },
        "required": ["accountName", "recovered", "report"],
        "not": {"required": ["type"]},
    }


def _unknown() -> JsonSchema:
    members = _converter("").schema2jsonschema(schemas.OF_EVERY_MESSAGE)["properties"]
    types = {"enum": [kind.type for kind in KINDS]}
    properties = {"type": {"not": types}, **members}
    return {**_head(UNKNOWN, UNKNOWN_MEANING), "type": "object", "properties": properties}


def _head(kind: str, meaning: str) -> JsonSchema:
    return {
        "$schema": DIALECT,
        "$comment": BASIS,
        "title": f"The data of {kind}",
        "description": meaning,
    }


def _entry() -> JsonSchema:
    schema = _converter("").schema2jsonschema(EntrySchema)
    # Validators ignore this annotation; readers and generators find the schema of the data by it.
    content = [
        {
            "if": {"properties": {"kind": {"const": kind}}},
            "then": {"properties": {"data": {"contentSchema": {"$ref": f"{kind}.schema.json"}}}},
        }
        for kind in KIND_NAMES
    ]
    schema["properties"]["data"]["contentMediaType"] = "application/json"
    title = "An entry of a message stream; every field is a text"
    return {"$schema": DIALECT, "title": title, **schema, "allOf": content}


def _converter(type_: str) -> Any:
    """The converter of apispec, extended by our own fields as they are in a message of a type.

    OpenAPI 3.1 takes its schemas from JSON Schema 2020-12.
    """
    plugin = MarshmallowPlugin()
    APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    converter: Any = plugin.converter

    def container(self: Any, field: fields.Field[Any], **_: Any) -> JsonSchema:
        if not isinstance(field, schemas.ContainerField):
            return {}
        empty = [None] if field.type_ == type_ else [None, *shape.EMPTY]
        return {"anyOf": [self.field2property(field.shape), {"enum": empty}]}

    def described(self: Any, field: fields.Field[Any], **_: Any) -> JsonSchema:
        members = field.metadata.get("members")
        return {"properties": self.schema2jsonschema(members)["properties"]} if members else {}

    converter.add_attribute_function(container)
    converter.add_attribute_function(described)
    return converter
