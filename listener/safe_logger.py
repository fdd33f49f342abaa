"""A logger that never raises, for code that runs in a user's process: a log must not keep work from being done."""

import contextlib
from functools import cached_property
from typing import Any

import structlog

from listener import logs


class SafeLogger:
    """structlog's logger of that name.

    In a program that has not configured structlog, lines of text go to standard error, and no method
    waits for the reader of it. A line that cannot be written is lost.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def info(self, event: str, **fields: Any) -> None:
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._log("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Logs an error, with the traceback of the exception that is being handled."""
        self._log("error", event, {"exc_info": True, **fields})

    def _log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        with contextlib.suppress(Exception):
            logger = self._configured if structlog.is_configured() else self._unconfigured
            getattr(logger, level)(event, **fields)

    @cached_property
    def _configured(self) -> Any:
        return structlog.get_logger(self._name)

    @cached_property
    def _unconfigured(self) -> Any:
        return logs.text_logger(self._name)
