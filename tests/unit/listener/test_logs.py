"""Log lines: free of secrets whatever is logged, and of one form."""

import io
import json
import logging
from typing import Any

import pytest

from listener import logs
from listener.settings.secret import Secret


def test_a_secret_prints_as_stars() -> None:
    secret = Secret("hidden")
    assert (repr(secret), str(secret), f"{secret}") == ("***", "***", "***")
    assert secret.reveal() == "hidden"


@pytest.mark.parametrize("secret", ["plain-secret", 'with"quote', "back\\slash", "ünïcode"])
def test_no_secret_is_left_in_a_json_line(secret: str) -> None:
    line = _line(secret)
    assert secret not in line
    assert json.dumps(secret)[1:-1] not in line
    assert json.loads(line)["event"] == "connecting to ***"


@pytest.mark.parametrize("secret", ["back\\slash", 'it\'s "so"', "tab\tulator"])
def test_no_secret_is_left_that_an_error_shows_as_python_writes_it(secret: str) -> None:
    told = json.dumps({"event": str(KeyError(secret))})
    redacted = logs.Redactor([Secret(secret)]).redact(told)
    assert json.loads(redacted)["event"] == "'***'"


def test_short_texts_are_left_alone() -> None:
    assert json.loads(_line("to"))["event"] == "connecting to to"


@pytest.mark.parametrize("nasty", ["\x1b[31m", "\u202e", "\u2028", "\x85", "a\nb"])
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_line_is_one_line_and_moves_no_cursor(log_format: str, nasty: str) -> None:
    line = _line(nasty, log_format)
    assert line.isprintable() or log_format == "json"
    assert not {"\x1b", "\n"} & set(line)
    assert "connecting to" in line


def test_a_traceback_keeps_its_lines() -> None:
    event = {"event": "failed", "exception": "Traceback:\n  File"}
    assert logs._escape_unprintable(None, "", dict(event)) == event


class Full(io.StringIO):
    """A stream on a full disk."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_line_that_cannot_be_written_is_lost_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    logs.StderrLogger("listener", Full()).info(b"lost")
    closed = io.StringIO()
    closed.close()
    logs.StderrLogger("listener", closed).info(b"lost")
    assert capfd.readouterr() == ("", "")


def test_our_own_lines_have_level_logger_and_time_like_those_of_libraries() -> None:
    event = logs.add_level_logger_time(logs.StderrLogger("listener"), "info", {"event": "kept"})
    assert (event["level"], event["logger"]) == ("info", "listener")
    foreign = json.loads(_line("x"))
    assert set(event) == set(foreign)
    assert len(str(event["time"])) == len(foreign["time"])


@pytest.mark.parametrize("value", [2**70, "\ud800", b"bytes", {1: 2}])
def test_whatever_is_logged_becomes_json(value: object) -> None:
    line = logs._to_json({"event": value}, repr)
    assert "event" in json.loads(line)


def _line(secret: str, log_format: str = "json") -> str:
    configuration = logs.config(
        log_format, "info", [Secret(secret)] if log_format == "json" else []
    )
    formatter = logging.config.DictConfigurator(configuration).configure_formatter(
        dict(configuration["formatters"]["line"])
    )
    record = logging.LogRecord(
        "a.library", logging.INFO, __file__, 1, "connecting to %s", (secret,), None
    )
    line: str = formatter.format(record)
    return line


@pytest.mark.parametrize("rest", [2**70, "\ud800"])
def test_no_secret_is_left_in_a_line_that_the_fast_encoder_cannot_write(rest: object) -> None:
    secret = Secret("pässword")
    line: Any = logs._to_json({"event": f"connecting with {secret.reveal()}", "rest": rest}, repr)
    redacted = logs.Redactor([secret])(None, "info", line)
    assert json.loads(redacted)["event"] == "connecting with ***"
