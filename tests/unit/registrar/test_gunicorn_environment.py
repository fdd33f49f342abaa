"""Where `run` names the service's configuration to gunicorn, and where an operator's own stays."""

import shlex
from pathlib import Path

import pytest
from gunicorn.config import Config

from registrar.process.child import gunicorn_environment

OURS = "python:listener.gunicorn_conf"
ARGV = ("gunicorn", "listener.wsgi:app")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configuration(environ: dict[str, str]) -> str | None:
    """The configuration that gunicorn's own parser finds in its variable."""
    arguments = shlex.split(environ["GUNICORN_CMD_ARGS"])
    found: str | None = Config().parser().parse_args(arguments).config
    return found


@pytest.mark.parametrize(
    "argv",
    [
        ARGV,
        ("sh", "-c", "exec gunicorn listener.wsgi:app"),
        ("opentelemetry-instrument", *ARGV),
        ("gunicorn", "-c", "own.py", "listener.wsgi:app"),
    ],
)
def test_service_is_given_its_configuration_in_an_empty_folder(argv: tuple[str, ...]) -> None:
    assert configuration(gunicorn_environment(argv, {})) == OURS


def test_folder_with_a_configuration_keeps_it(empty_folder: Path) -> None:
    (empty_folder / "gunicorn.conf.py").touch()
    assert gunicorn_environment(ARGV, {}) == {}


@pytest.mark.parametrize("argv", [(), ("gunicorn", "another:app"), ("sleep", "1")])
def test_another_command_is_given_nothing(argv: tuple[str, ...]) -> None:
    assert gunicorn_environment(argv, {}) == {}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("--workers 3", OURS),
        ("-c own.py", "own.py"),
        ("--config=own.py --workers 3", "own.py"),
        ("", OURS),
    ],
)
def test_options_of_the_operators_own_stay_and_their_configuration_wins(
    own: str, expected: str
) -> None:
    environ = gunicorn_environment(ARGV, {"GUNICORN_CMD_ARGS": own})
    assert configuration(environ) == expected
    assert environ["GUNICORN_CMD_ARGS"].endswith(own)
