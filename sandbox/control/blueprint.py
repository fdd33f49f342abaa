"""What the calls of the control side share: the blueprint, and how a request is read."""

import re
from typing import Any, cast

from flask import Blueprint, request
from werkzeug.exceptions import BadRequest

from sandbox.api import callback_forms
from sandbox.provider_facts import VERSIONS, Version

control = Blueprint("control", __name__, url_prefix="/sandbox")


def json_object() -> dict[str, Any]:
    body = callback_forms.json_object(request.get_data())
    if body is None:
        raise BadRequest("The body must be a JSON object.")
    return body


def flag(name: str) -> bool:
    return request.args.get(name, "0") not in {"", "0", "false"}


def number(name: str) -> int:
    value = request.args.get(name, "0")
    # Longer ones are no number of ours, and Python refuses to read very long ones.
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise BadRequest(f"{name} must be a number.")
    return int(value)


def one_of(name: str, choices: tuple[str, ...]) -> str | None:
    value = request.args.get(name)
    if value is not None and value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}.")
    return value


def chosen_version() -> Version | None:
    return cast("Version | None", one_of("version", VERSIONS))
