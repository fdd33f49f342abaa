"""Where the registrar asks whether COMMAND is ready."""

import json
from pathlib import Path

import pytest
import structlog

from registrar.errors import AddressUnknownError
from registrar.process.addresses import ChildAddresses
from registrar.process.readiness import REPORT_WITHIN_S, wait_until_ready

OURS = ("gunicorn", "listener.wsgi:app")
PORT = 8000
AT_PORT = [("127.0.0.1", PORT), ("::1", PORT)]


@pytest.mark.parametrize(
    ("argv", "environ", "report_required"),
    [
        (OURS, {}, True),
        (("sh", "-c", "exec gunicorn listener.wsgi:app"), {}, True),
        (("opentelemetry-instrument", *OURS), {}, True),
        (("gunicorn", "-b", ":9000", "other:app"), {}, True),
        (("gunicorn", "-b:9000", "other:app"), {}, True),
        (("gunicorn", "--bind=unix:/run/a.sock", "other:app"), {}, True),
        (("gunicorn", "other:app"), {"GUNICORN_CMD_ARGS": "--bind=127.0.0.1:9000"}, True),
        (("gunicorn", "-b0.0.0.0:9000", "other:app"), {}, True),
        (("gunicorn", "-blocalhost:9000", "other:app"), {}, True),
        (("gunicorn", "-bunix:/run/a.sock", "other:app"), {}, True),
        (("gunicorn", "other:app"), {"GUNICORN_CMD_ARGS": "-b127.0.0.1:9000"}, True),
        (("gunicorn", "other:app"), {"GUNICORN_CMD_ARGS": "--workers=3"}, False),
        (("gunicorn", "other:app"), {"GUNICORN_CMD_ARGS": "--access-logformat '%(h)s"}, False),
        (OURS, {"GUNICORN_CMD_ARGS": "--access-logformat 'open"}, True),
        (("python", "-bb", "server.py"), {}, False),
        (("gunicorn", "other:app", "--backlog", "9"), {}, False),
        (("python", "server.py"), {}, False),
    ],
)
def test_a_command_that_chooses_its_address_is_asked_nowhere_else(
    argv: tuple[str, ...], environ: dict[str, str], report_required: bool, tmp_path: Path
) -> None:
    child = ChildAddresses.of(PORT, tmp_path / "report", argv, environ)
    assert child.now() == ([] if report_required else AT_PORT)


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
        assert ChildAddresses.of(PORT, tmp_path / "report", argv, {}).now() == asked


@pytest.mark.parametrize("content", ["", "[", "{", "[]", "[[1]]"])
def test_a_report_without_an_address_ends_the_wait(content: str, tmp_path: Path) -> None:
    (tmp_path / "report").write_text(content)
    with pytest.raises(AddressUnknownError):
        ChildAddresses.of(PORT, tmp_path / "report", OURS, {}).now()


class Clock:
    """A clock that a wait moves on."""

    def __init__(self, ends_s: float = 10 * REPORT_WITHIN_S) -> None:
        self.now_s = 0.0
        self._ends_s = ends_s

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.now_s >= self._ends_s


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        ((*OURS, "--bind=127.0.0.1:9000"), {}),
        ((*OURS, "-b127.0.0.1:9000"), {}),
        (OURS, {"GUNICORN_CMD_ARGS": "-b :9000"}),
        (("gunicorn", "-b", ":9000", "other:app"), {}),
    ],
)
def test_report_that_does_not_come_of_a_named_address_is_waited_for_within_its_limit(
    argv: tuple[str, ...], environ: dict[str, str], tmp_path: Path
) -> None:
    clock = Clock()
    child = ChildAddresses.of(PORT, tmp_path / "report", argv, environ)
    with pytest.raises(AddressUnknownError, match="--bind"):
        wait_until_ready(child, clock.wait, clock=lambda: clock.now_s)
    assert clock.now_s == pytest.approx(REPORT_WITHIN_S, abs=1)


def test_command_that_cannot_report_and_names_no_address_is_asked_at_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    asked: list[object] = []

    def is_ready(address: object) -> bool:
        asked.append(address)
        return len(asked) > len(AT_PORT)

    monkeypatch.setattr("registrar.process.readiness.is_ready", is_ready)
    child = ChildAddresses.of(PORT, tmp_path / "gone" / "report", OURS, {})
    with structlog.testing.capture_logs() as lines:
        assert wait_until_ready(child, clock.wait, clock=lambda: clock.now_s) is True
    assert clock.now_s == pytest.approx(REPORT_WITHIN_S, abs=1)
    assert asked == [*AT_PORT, AT_PORT[0]]
    [line] = [each for each in lines if each["event"].startswith("the command did not report")]
    assert (line["log_level"], line["asks"]) == ("warning", PORT)
    assert "gone" in line["problem"]


def test_report_that_comes_late_is_asked_instead_of_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    report = tmp_path / "report"

    def wait(seconds: float) -> bool:
        if clock.now_s > REPORT_WITHIN_S + 1:
            report.write_text('[["127.0.0.1", 9000]]')
        return clock.wait(seconds)

    monkeypatch.setattr(
        "registrar.process.readiness.is_ready", lambda each: each == ("127.0.0.1", 9000)
    )
    assert wait_until_ready(
        ChildAddresses.of(PORT, report, OURS, {}), wait, clock=lambda: clock.now_s
    )


def test_a_process_that_is_to_stop_waits_for_no_report(tmp_path: Path) -> None:
    child = ChildAddresses.of(PORT, tmp_path / "report", OURS, {})
    assert wait_until_ready(child, lambda _: True) is False
