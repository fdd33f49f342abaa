"""Checks that a message has the shape of its type: the usual form at once, any other one by the schemas. Pure."""

from collections.abc import Mapping
from typing import Any

from listener.errors import WrongShapeError
from listener.messages.kinds import KINDS

EMPTY: tuple[Any, ...] = ("", [], {})
"""How a container that does not apply may be sent, besides null."""

_CONTAINERS = tuple((kind.type, dict if kind.items is None else list) for kind in KINDS)


def check(payload: Mapping[str, Any], type_: str) -> None:
    """Checks the envelope and the containers of a message of a known type. Marshmallow is the judge.

    Raises:
        RefusalError: `wrong-shape`; the detail names the members, not their values.
    """
    if _is_usual(payload, type_):
        return
    # The service has imported it long before, for its OpenAPI. Consumers' programs and commands, which know `Message`
    # as well, need not wait for marshmallow when they start.
    from listener.messages import schemas  # noqa: PLC0415

    if problems := schemas.problems(payload):
        raise WrongShapeError(", ".join(problems))


def _is_usual(payload: Mapping[str, Any], type_: str) -> bool:
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
