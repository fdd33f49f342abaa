"""Reading what a stranger sent."""

import json
from typing import Any


def json_object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object, whatever the content type says; None: it is empty, or anything else."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
