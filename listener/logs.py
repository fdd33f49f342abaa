"""Structured logs on standard error: one event a line, JSON or text; known secrets are replaced by `***`.

Our own lines go from structlog straight to standard error; what libraries and gunicorn log by the standard
library gets the same format. No process waits for its log (`listener.runtime.stderr`): a line that cannot be
written is lost and counted, because it must not cost a message.
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
MIN_REDACTED_LENGTH = 4
UTC_OFFSET = "+00:00"


class Redactor:
    """Replaces known secrets by `***`, in finished lines and in texts of libraries: the last line of defence.

    No code passes a secret to a log on purpose; an error's text from a library may hold one.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        plain = {secret.reveal() for secret in secrets}
        # An error's text often shows a value as Python writes it.
        plain |= {repr(text)[1:-1] for text in plain}
        # JSON escapes quotation marks and backslashes, and letters that are not ASCII where orjson fails.
        texts = plain | {
            json.dumps(text, ensure_ascii=a)[1:-1] for text in plain for a in (False, True)
        }
        # A secret that contains another one is replaced as a whole.
        self._texts = sorted(
            (text for text in texts if len(text) >= MIN_REDACTED_LENGTH), key=len, reverse=True
        )
        self._encoded = [text.encode("utf-8", "backslashreplace") for text in self._texts]

    def redact(self, text: str) -> str:
        """The text with `***` in place of every secret."""
        for secret in self._texts:
            text = text.replace(secret, "***")
        return text

    def __call__(self, _logger: WrappedLogger, _level: str, line: Any) -> bytes:
        """The same as a structlog processor of a rendered line, in UTF-8."""
        redacted: bytes = line
        for secret in self._encoded:
            redacted = redacted.replace(secret, b"***")
        return redacted


class StderrLogger:
    """Writes rendered lines to standard error: structlog's BytesLogger, but it never waits.

    BytesLogger takes a lock that is not reentrant, so a line that a signal handler logs could wait for
    ever for the one that it interrupted.
    """

    def __init__(self, name: str = "", stream: TextIO | None = None) -> None:
        """Takes the logger's name, which the line shows, and the stream: standard error by default."""
        self.name = name
        self._stream = stream or stderr.current()
        self._encoding = (self._stream.encoding or "utf-8").lower()
        # Every message has a line, so it does not go through the layer for text.
        self._writer = stderr.writer_of(self._stream)

    def msg(self, line: bytes) -> None:
        """Writes a line, in UTF-8, in one piece."""
        if self._writer is None:
            self._write_text(line.decode())
        elif self._encoding == "utf-8":
            self._writer.write(line + b"\n")
        else:
            self._writer.write(f"{line.decode()}\n".encode(self._encoding, "backslashreplace"))

    def _write_text(self, line: str) -> None:
        """To a stream that somebody else has put in the place of standard error."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The disk is full, or the stream is closed.
            pass

    debug = info = warning = error = critical = exception = msg


def configure(log_format: str, log_level: str, secrets: Iterable[Secret] = ()) -> None:
    """Configures structlog and the standard library's logging, for this process, once.

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
            _decode,
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
            # urllib3 logs its retries and connections at the level that is set for all.
            "urllib3": {"level": "WARNING"},
            # At the level debug gunicorn logs the path of every request, and so tokens.
            "gunicorn.error": {"handlers": [], "propagate": True, "level": gunicorn_level},
            "gunicorn.access": {"handlers": [], "propagate": False},
        },
    }


def add_level_logger_time(logger: StderrLogger, level: str, event: EventDict) -> EventDict:
    """Adds what every line has, in one step, because each message has a line."""
    event["level"] = level
    event["logger"] = logger.name
    time = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix(UTC_OFFSET)
    event["time"] = f"{time}Z"
    return event


def _processors(log_format: str, secrets: Iterable[Secret]) -> list[Processor]:
    return [
        add_level_logger_time,
        structlog.processors.format_exc_info,
        *render_chain(log_format, secrets),
    ]


def _loss_line(log_format: str, secrets: Iterable[Secret]) -> Callable[[int], bytes]:
    """Renders the line that says how many were lost; it is written at every level of the log."""
    logger = StderrLogger("listener.logs")
    chain = render_chain(log_format, secrets)

    def render(lost: int) -> bytes:
        event: Any = {"event": "log lines lost", "lines": lost}
        for processor in (add_level_logger_time, *chain):
            event = processor(logger, "warning", event)
        return bytes(event) + b"\n"

    return render


def render_chain(log_format: str, secrets: Iterable[Secret]) -> list[Processor]:
    """The processors from an event to a line in UTF-8, without secrets."""
    redactor = Redactor(secrets)
    if log_format == "json":
        return [structlog.processors.JSONRenderer(_to_json, default=repr), redactor]
    console = structlog.dev.ConsoleRenderer(
        colors=stderr.current().isatty(),
        timestamp_key="time",
        # The formatter that uses rich shows local variables, secrets among them.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [_escape_unprintable, console, _encode, redactor]


def _escape_unprintable(_logger: WrappedLogger, _level: str, event: EventDict) -> EventDict:
    """Escapes what is not printable: an account's name may come from a sender, and the reader's terminal obeys.

    A traceback keeps its lines. JSON needs none of this.
    """

    def escape(letter: str) -> str:
        return letter if letter.isprintable() else json.dumps(letter)[1:-1]

    for name, value in event.items():
        if name != "exception" and isinstance(value, str) and not value.isprintable():
            event[name] = "".join(map(escape, value))
    return event


def _to_json(event: EventDict, default: Callable[[Any], Any]) -> bytes:
    try:
        return orjson.dumps(event, default, orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # A long number, or a lone surrogate: rare, and the line must not be lost for that.
        return json.dumps(event, default=default).encode()


def _encode(_logger: WrappedLogger, _level: str, line: Any) -> bytes:
    return str(line).encode("utf-8", "backslashreplace")


def _decode(_logger: WrappedLogger, _level: str, line: Any) -> str:
    """The standard library's handlers write text."""
    return bytes(line).decode()
