"""Makes the requests of schemathesis authentic, so that they get as far as what they try.

Loaded by schemathesis itself: see tests/system/hostile/test_openapi_fuzzing.py. What it means to be wrong, a
token or credentials, stays wrong.
"""

import os
from typing import Any

import schemathesis

RIGHT = {name: os.environ[f"RIGHT_{name.upper()}"] for name in ("username", "password")}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    for location, part in case.meta.components.items():
        if location.name == "PATH" and part.mode.is_positive and "token" in case.path_parameters:
            case.path_parameters["token"] = os.environ["RIGHT_TOKEN"]
    if isinstance(case.body, dict) and all(isinstance(case.body.get(name), str) for name in RIGHT):
        case.body = {**case.body, **RIGHT}
