"""Where the registrar asks whether COMMAND is ready."""

import json
from pathlib import Path

import pytest

from registrar.errors import AddressUnknownError
from registrar.readiness import REPORT_WITHIN_S, Listening, until_ready

OURS = ("gunicorn", "listener.wsgi:app")
PORT = 8000
AT_PORT = [("127.0.0.1", PORT), ("::1", PORT)]


@pytest.mark.parametrize(
    ("argv", "environ", "is_expected"),
    [
        (OURS, {}, True),
        (("sh", "-c", "exec gunicorn listener.wsgi:app"), {}, True),
        (("opentelemetry-instrument", *OURS), {}, True),
        (("gunicorn", "-b", ":9000", "other:app"), {}, True),
        (("gunicorn", "-b:9000", "other:app"), {}, True),
        (("gunicorn", "--bind=unix:/run/a.sock", "other:app"), {}, True),
        (("gunicorn", "other:app"), {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:9000"}, True),
        (("gunicorn", "other:app"), {"GUNICORN_CMD_ARGS": "--workers=3"}, False),
        (("gunicorn", "other:app", "--backlog", "9"), {}, False),
        (("python", "server.py"), {}, False),
    ],
)
def test_a_command_that_chooses_its_address_is_asked_nowhere_else(
    argv: tuple[str, ...], environ: dict[str, str], is_expected: bool, tmp_path: Path
) -> None:
    listening = Listening.of(PORT, tmp_path / "report", argv, environ)
    assert listening.addresses() == ([] if is_expected else AT_PORT)


@pytest.mark.parametrize(
    ("reported", "asked"),
    [
        ([["127.0.0.1", 9000]], [("127.0.0.1", 9000)]),
        ([["0.0.0.0", 9000]], [("127.0.0.1", 9000)]),
        ([["::", 9000]], [("127.0.0.1", 9000), ("::1", 9000)]),
        ([["::1", 9000], "/run/a.sock"], [("::1", 9000), "/run/a.sock"]),
        (["\0abstract"], ["\0abstract"]),
    ],
)
def test_what_the_command_reports_is_asked(
    reported: list[object], asked: list[object], tmp_path: Path
) -> None:
    (tmp_path / "report").write_text(json.dumps(reported))
    for argv in (OURS, ("python", "server.py")):
        assert Listening.of(PORT, tmp_path / "report", argv, {}).addresses() == asked


@pytest.mark.parametrize("content", ["", "[", "{", "[]", "[[1]]"])
def test_a_report_without_an_address_ends_the_wait(content: str, tmp_path: Path) -> None:
    (tmp_path / "report").write_text(content)
    with pytest.raises(AddressUnknownError):
        Listening.of(PORT, tmp_path / "report", OURS, {}).addresses()


def test_a_report_that_does_not_come_is_waited_for_within_its_limit(tmp_path: Path) -> None:
    now = 0.0

    def wait(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return False

    with pytest.raises(AddressUnknownError):
        until_ready(Listening.of(PORT, tmp_path / "report", OURS, {}), wait, clock=lambda: now)
    assert now == pytest.approx(REPORT_WITHIN_S, abs=1)


def test_a_process_that_is_to_stop_waits_for_no_report(tmp_path: Path) -> None:
    listening = Listening.of(PORT, tmp_path / "report", OURS, {})
    assert until_ready(listening, lambda _: True) is False
