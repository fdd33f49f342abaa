"""Faults on demand: what happens to the next calls of a path, and the list of pending ones."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from sandbox.replies import SHAPES, Reply, throttled

_EFFECTS = ("status", "shape", "delay_s", "drop", "expire", "next_access_s")
# A line break in a header would end it, and begin another.
_ONE_LINE = validate.Regexp(r"[^\r\n]*\Z", error="No line breaks.")


@dataclass(frozen=True)
class Fault:
    """What happens to a call.

    In this order: `expire` the credential that the call presents, wait `delay_s`, then `drop` the
    connection, or answer with `shape` or `status`; with none of these three the call proceeds as usual.

    Attributes:
        path: prefix of the paths that it applies to.
        method: only calls of this method; None: of any.
        count: how many calls it still applies to.
        next_access_s: answers as a throttling gateway does, with a `nextAccessTime` this many seconds
            ahead.
        when: `before`: a call that the fault answers has no effect; `after`: the call takes effect, and the
            fault replaces its response.
    """

    path: str
    method: str | None = None
    count: int = 1
    when: Literal["before", "after"] = "before"
    expire: Literal["token", "session"] | None = None
    delay_s: float = 0.0
    drop: bool = False
    shape: str | None = None
    status: int | None = None
    next_access_s: float | None = None
    body: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def reply(self) -> Reply | None:
        """The reply in place of the usual one; None: there is none."""
        if self.status is None and self.shape is None and self.next_access_s is None:
            return None
        base = SHAPES[self.shape] if self.shape else Reply(self.status or 500)
        if self.next_access_s is not None:
            until = datetime.now(UTC) + timedelta(seconds=self.next_access_s)
            base = throttled(self.status or 429, f"{until:%Y-%b-%d %H:%M:%S}+0000 UTC")
        return Reply(
            self.status or base.status,
            base.body if self.body is None else self.body,
            self.content_type or base.content_type,
            {**base.headers, **self.headers},
        )

    def matches(self, method: str, path: str) -> bool:
        return path.startswith(self.path) and self.method in {None, method}


class FaultSchema(Schema):
    """The JSON of `POST /sandbox/faults`."""

    path = fields.String(required=True, validate=validate.Regexp("/", error="Begins with a /."))
    method = fields.String(
        allow_none=True, validate=validate.OneOf(["GET", "POST", "PUT", "DELETE"])
    )
    count = fields.Integer(strict=True, validate=validate.Range(min=1))
    when = fields.String(validate=validate.OneOf(["before", "after"]))
    expire = fields.String(allow_none=True, validate=validate.OneOf(["token", "session"]))
    delay_s = fields.Float(validate=validate.Range(min=0, max=600))
    drop = fields.Boolean(truthy={True}, falsy={False})
    shape = fields.String(allow_none=True, validate=validate.OneOf(sorted(SHAPES)))
    status = fields.Integer(allow_none=True, strict=True, validate=validate.Range(min=200, max=599))
    next_access_s = fields.Float(allow_none=True, validate=validate.Range(min=-1e6, max=1e9))
    body = fields.String(allow_none=True)
    content_type = fields.String(allow_none=True, validate=_ONE_LINE)
    headers = fields.Dict(
        keys=fields.String(validate=_ONE_LINE), values=fields.String(validate=_ONE_LINE)
    )

    @validates_schema
    def _does_something(self, data: dict[str, Any], **_: Any) -> None:
        if not any(data.get(effect) for effect in _EFFECTS):
            raise ValidationError(f"Does nothing: give at least one of {', '.join(_EFFECTS)}.")

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> Fault:
        return Fault(**data)


class Faults:
    """The pending faults, oldest first. Every method is atomic."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._mutex:
            self._faults.append(fault)

    def pop_matching(self, method: str, path: str) -> Fault | None:
        """The oldest fault that matches this call; its count goes down by one, and at zero it is removed."""
        with self._mutex:
            for index, fault in enumerate(self._faults):
                if fault.matches(method, path):
                    left = [replace(fault, count=fault.count - 1)] if fault.count > 1 else []
                    self._faults[index : index + 1] = left
                    return fault
            return None

    def clear(self) -> None:
        with self._mutex:
            self._faults.clear()

    def listing(self) -> list[dict[str, Any]]:
        with self._mutex:
            return [asdict(fault) for fault in self._faults]
