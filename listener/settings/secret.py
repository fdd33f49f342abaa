"""A value that never shows itself by accident."""

from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Secret:
    """Holds a secret text; prints as `***` and gives the text only to those who ask for it."""

    _text: str

    def reveal(self) -> str:
        """The secret itself: for comparing and sending, never for logs, errors or keys."""
        return self._text

    def __repr__(self) -> str:
        """Always `***`, so that the dataclasses that hold a secret can be printed."""
        return "***"

    __str__ = __repr__
