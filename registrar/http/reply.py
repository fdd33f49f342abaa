"""An HTTP reply as a value. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An HTTP answer as a value; the names of its headers are in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the provider says that it did what was asked."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, with a stand-in for what is not UTF-8."""
        return self.body.decode("utf-8", "replace").strip()

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is something else.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deeply") from None
