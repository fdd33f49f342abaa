"""Finds out whether the provider, or the way to it, is what fails, so that the rest of the slots need not be asked."""

from registrar.errors import RegistrarError, StopError, UnavailableError

# The provider, or the way to it, is what fails if that many slots in a row cannot be asked.
FAILING_SLOTS = 2


class CommonFailure:
    """The failure that all slots have in common, noted while slot after slot is asked.

    Attributes:
        error: what fails for the rest of the slots as well; None: so far nothing.
    """

    def __init__(self, error: RegistrarError | None) -> None:
        self.error = error
        self._in_a_row = 0

    def note(self, error: RegistrarError | None) -> None:
        """Notes the error of one slot; None: it has none."""
        self._in_a_row = self._in_a_row + 1 if isinstance(error, UnavailableError) else 0
        if error and (self._in_a_row >= FAILING_SLOTS or _concerns_all(error)):
            self.error = error


def _concerns_all(error: RegistrarError) -> bool:
    """Whether the next slot would fail in the same way, or must not be asked."""
    throttled = isinstance(error, UnavailableError) and error.reason == "throttled"
    return throttled or isinstance(error, StopError) or error.reason.startswith("login-")
