"""The shapes of the answers that both ports give, for `openapi.py`."""

from marshmallow import Schema, fields, validate

from listener.errors import PROBLEM_TYPES


class Kept(Schema):
    """A message is kept."""

    id = fields.String(
        required=True,
        validate=validate.Regexp(r"^[0-9a-f]{32}$"),
        metadata={"description": "The same content has the same id."},
    )
    duplicate = fields.Boolean(
        required=True, metadata={"description": "Whether it was there already."}
    )


class Problem(Schema):
    """An error, as RFC 9457 has it. Nothing of the request is repeated."""

    type = fields.String(required=True, validate=validate.Equal("about:blank"))
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    reason = fields.String(required=True, validate=validate.OneOf(list(PROBLEM_TYPES)))


class Alive(Schema):
    """The process answers."""

    status = fields.String(required=True, validate=validate.Equal("alive"))


class Ready(Schema):
    """A message could be kept now, and where."""

    status = fields.String(required=True, validate=validate.Equal("ready"))
    keeper = fields.String(required=True, validate=validate.OneOf(["redis", "spool"]))


class NotReady(Schema):
    """A message could not be kept now: what the operating port says of it."""

    status = fields.String(required=True, validate=validate.Equal("not-ready"))
    reason = fields.String(required=True, validate=validate.Equal("queue-unavailable"))
    detail = fields.String(required=True)


class Version(Schema):
    """What runs here."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    commit = fields.String(required=True, allow_none=True)
    python = fields.String(required=True)
    libraries = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


ANSWERS = (Kept, Problem, Alive, Ready, NotReady, Version)
