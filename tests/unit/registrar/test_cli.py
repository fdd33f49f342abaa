"""The help of the registrar's commands: what each does, an example, the exit statuses."""

import pytest
from click.testing import CliRunner

from listener import logs
from registrar.__main__ import main

COMMANDS = ("run", "status", "register", "deregister", "unlock", "recover")
CALLBACK_COMMANDS = ("list", "register", "deregister")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does_and_has_an_example(command: str) -> None:
    end = CliRunner().invoke(main, [command, "--help"])
    assert end.exit_code == 0
    assert "Example" in end.output


@pytest.mark.parametrize("command", CALLBACK_COMMANDS)
def test_help_of_a_callback_command_has_an_example_and_names_the_account(command: str) -> None:
    end = CliRunner().invoke(main, ["callbacks", command, "--help"])
    assert end.exit_code == 0
    assert "Example" in end.output
    assert "ACCOUNT" in end.output
    assert "--api-version" in end.output


def test_help_names_all_commands_and_exit_statuses() -> None:
    end = CliRunner().invoke(main, ["--help"])
    assert all(command in end.output for command in (*COMMANDS, "callbacks"))
    assert "Exit status" in end.output


def test_switched_off_without_a_command_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    # It is for the whole process and for good: later tests could capture no line.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    environ = {"REGISTRAR": "off", "CALLBACK_TOKEN": "token-of-all-the-tests"}
    end = CliRunner(env=environ).invoke(main, ["run"])
    assert end.exit_code == 2
    assert "COMMAND" in end.stderr


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_switched_off_work_by_hand_needs_its_settings_all_the_same(command: str) -> None:
    environ = {
        "REGISTRAR": "off",
        "CALLBACK_TOKEN": "token-of-all-the-tests",
        "THINGSPACE_ACCOUNTS": None,
    }
    end = CliRunner(env=environ).invoke(main, [command])
    assert end.exit_code == 2
    assert "THINGSPACE_ACCOUNTS: " in end.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_settings_end_with_status_2(command: str) -> None:
    end = CliRunner(env={"PORT": "none", "PUBLIC_URL": None}).invoke(main, [command])
    assert end.exit_code == 2
    assert "PORT: " in end.stderr
    assert "PUBLIC_URL: " in end.stderr
