"""The library's log. What cannot be logged must not keep a message from being handled."""

import contextlib
from typing import Any

import structlog


class Log:
    """structlog's logger `listener.consumer`, but for one thing: no method ever raises.

    Standard output may be a file on a full disk, or a pipe that nobody reads any more. A line that
    cannot be written is then missing, and there is no better place to say so.
    """

    def __init__(self) -> None:
        """Writes nothing, and takes no configuration yet."""
        self._logger = structlog.get_logger("listener.consumer")

    def info(self, event: str, **what: Any) -> None:
        """What goes as it should."""
        with contextlib.suppress(Exception):
            self._logger.info(event, **what)

    def warning(self, event: str, **what: Any) -> None:
        """What an operator may want to know."""
        with contextlib.suppress(Exception):
            self._logger.warning(event, **what)

    def error(self, event: str, **what: Any) -> None:
        """What an operator has to see to."""
        with contextlib.suppress(Exception):
            self._logger.error(event, **what)

    def exception(self, event: str, **what: Any) -> None:
        """Likewise, with the traceback of the exception that is being handled."""
        with contextlib.suppress(Exception):
            self._logger.error(event, exc_info=True, **what)  # noqa: LOG014 - of our caller


log = Log()
