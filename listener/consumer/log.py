"""The library's log. What cannot be logged must not keep a message from being handled."""

import contextlib
from functools import cached_property
from typing import Any

import structlog

from listener import logs


class Log:
    """structlog's logger `listener.consumer`, but no method ever raises.

    In a program that has not configured structlog, lines of text go to standard error, and no method waits for
    the reader of it. A line that cannot be written is lost.
    """

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

    @property
    def _logger(self) -> Any:
        return self._configured if structlog.is_configured() else self._unconfigured

    @cached_property
    def _configured(self) -> Any:
        return structlog.get_logger("listener.consumer")

    @cached_property
    def _unconfigured(self) -> Any:
        return logs.text_logger("listener.consumer")


log = Log()
