"""Structured logs on standard error: one event a line, JSON or text, free of secrets.

Our own lines go from structlog straight to standard error; what libraries and gunicorn log by the standard
library gets the same form. No line is waited for (`listener.runtime.stderr`): one that cannot be written is lost and
counted, since it must cost no message.
"""

import json
import logging
import logging.config
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from listener.runtime import stderr
from listener.settings.secret import Secret

# A shorter text also occurs by chance, and replacing it would only spoil the line.
SHORTEST_REDACTED = 4


class Redactor:
    """The last line of defence: blots known secrets out of a finished line.

    No code passes a secret to a log on purpose; an error's text from a library may hold one.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        """Takes the secrets, longest first, so that one that contains another goes whole."""
        plain = {secret.reveal() for secret in secrets}
        # An error's text often shows a value as Python writes it.
        plain |= {repr(text)[1:-1] for text in plain}
        # In a JSON line a quotation mark or a backslash of the secret is escaped.
        texts = plain | {json.dumps(text, ensure_ascii=False)[1:-1] for text in plain}
        self._texts = sorted(
            (t for t in texts if len(t) >= SHORTEST_REDACTED), key=len, reverse=True
        )

    def redact(self, line: str) -> str:
        """The line with `***` in place of every secret."""
        for text in self._texts:
            line = line.replace(text, "***")
        return line


class Renderer:
    """Renders an event as a line and redacts it."""

    def __init__(self, render: Processor, redactor: Redactor) -> None:
        """Takes structlog's renderer and what goes over its result."""
        self._render = render
        self._redactor = redactor

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        """The finished line."""
        return self._redactor.redact(str(self._render(logger, name, event)))


class StderrLogger:
    """Where structlog's finished lines go; it calls the method that is named like the level."""

    def __init__(self, name: str = "", stream: TextIO | None = None) -> None:
        """Takes the logger's name, which shows in the line, and where to write: standard error."""
        self.name = name
        self._stream = stream or stderr.current()
        self._encoding = self._stream.encoding or "utf-8"
        # Every message has a line, so it does not go through the layer for text.
        self._writer = stderr.writer_of(self._stream)

    def write(self, line: str) -> None:
        """Writes a line, in one piece."""
        if self._writer:
            self._writer.write(f"{line}\n".encode(self._encoding, "backslashreplace"))
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Only of a stream that somebody else has put in the place of standard error.
            pass

    debug = info = warning = error = critical = exception = write


def configure(log_format: str, log_level: str, secrets: Iterable[Secret] = ()) -> None:
    """Sets up structlog and the standard library's logging, for this process, once.

    From then on nothing that this process writes to `sys.stderr` waits for its reader.

    Args:
        log_format: `json` or `text`.
        log_level: `debug`, `info`, `warning` or `error`.
        secrets: what must not appear in any line.
    """
    secrets = tuple(secrets)
    stderr.replace()
    stderr.writer().describe_loss = _loss_line(log_format, secrets)
    logging.config.dictConfig(config(log_format, log_level, secrets))
    structlog.configure(
        processors=_processors(log_format, secrets),
        logger_factory=StderrLogger,
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        cache_logger_on_first_use=True,
    )


def text_logger(name: str) -> Any:
    """A logger of text lines from `info` on, for a program that has not configured structlog."""
    return structlog.wrap_logger(
        StderrLogger(name),
        processors=_processors("text", ()),
        wrapper_class=structlog.make_filtering_bound_logger("info"),
    )


def config(log_format: str, log_level: str, secrets: Iterable[Secret] = ()) -> dict[str, Any]:
    """The configuration of the standard library's logging; gunicorn takes the same."""
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
        ],
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *render_chain(log_format, secrets),
        ],
    }
    gunicorn_level = "INFO" if log_level == "debug" else log_level.upper()
    handler = {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": handler},
        "root": {"handlers": ["stderr"], "level": log_level.upper()},
        "loggers": {
            # urllib3 tells of its own retries and connections at a level that is ours to decide.
            "urllib3": {"level": "WARNING"},
            # At the level debug gunicorn logs the path of every request, and so tokens.
            "gunicorn.error": {"handlers": [], "propagate": True, "level": gunicorn_level},
            "gunicorn.access": {"handlers": [], "propagate": False},
        },
    }


def add_level_logger_time(logger: StderrLogger, level: str, event: EventDict) -> EventDict:
    """What every line has: level, logger, time; in one step, since each message has a line."""
    moment = datetime.now(UTC).replace(tzinfo=None)
    return {
        **event,
        "level": level,
        "logger": logger.name,
        "time": f"{moment.isoformat(timespec='microseconds')}Z",
    }


def _processors(log_format: str, secrets: Iterable[Secret]) -> list[Processor]:
    return [
        add_level_logger_time,
        structlog.processors.format_exc_info,
        *render_chain(log_format, secrets),
    ]


def _loss_line(log_format: str, secrets: Iterable[Secret]) -> Callable[[int], str]:
    """Renders the line that says how many were lost; it comes at every level of the log."""
    logger = StderrLogger("listener.logs")
    render = render_chain(log_format, secrets)

    def rendered(lost: int) -> str:
        event: Any = add_level_logger_time(
            logger, "warning", {"event": "log lines lost", "lines": lost}
        )
        for processor in render:
            event = processor(logger, "warning", event)
        return f"{event}\n"

    return rendered


def render_chain(log_format: str, secrets: Iterable[Secret]) -> list[Processor]:
    """From an event to a line."""
    printable = [] if log_format == "json" else [_printable]
    return [*printable, Renderer(_renderer(log_format), Redactor(secrets))]


def _printable(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Escapes what is not printable: an account's name may come from a sender, and the reader's terminal obeys.

    A traceback keeps its lines. JSON needs none of this.
    """

    def escaped(letter: str) -> str:
        return letter if letter.isprintable() else json.dumps(letter)[1:-1]

    for name, value in event.items():
        if name != "exception" and isinstance(value, str) and not value.isprintable():
            event[name] = "".join(map(escaped, value))
    return event


def _renderer(log_format: str) -> Processor:
    if log_format == "json":
        return _json
    return structlog.dev.ConsoleRenderer(
        colors=stderr.current().isatty(),
        timestamp_key="time",
        # The one that rich makes shows local variables, secrets among them.
        exception_formatter=structlog.dev.plain_traceback,
    )


def _json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        # A long number, or a lone surrogate: rare, and not to be lost for that.
        return json.dumps(event, default=repr)
