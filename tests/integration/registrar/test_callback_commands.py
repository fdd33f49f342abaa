"""`callbacks list | register | deregister ACCOUNT`, and the client alone, against the sandbox."""

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from listener import logs
from registrar.__main__ import main
from registrar.thingspace import CallbackClient
from testbed.sandbox_client import Sandbox

ROOT = Path(__file__).parents[3]
OWN = "https://fota.example.com/cb"
OTHER = "https://other.example.com/cb"
HOSTILE = "https://other.example.com/\x1b[2J\x9b31m/s3cret-0123456789/x"
LOGIN = "/api/m2m/v1/session/login"
VERSIONS = ("v1", "v2", "v3")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.clear_faults()
    running.unlock()
    for version in VERSIONS:
        running.deregister_outside(version=version)
    return running


class CommandLine:
    """The commands, with the provider's credentials and nothing else in the environment."""

    def __init__(self, sandbox: Sandbox, folder: Path, redis_url: str) -> None:
        self.account = sandbox.account
        self.environ: dict[str, str | None] = {
            **{name: None for name in os.environ if name.startswith(("CALLBACK_", "PUBLIC_"))},
            **sandbox.environment(),
            "THINGSPACE_ACCOUNTS": None,
            "SPOOL_DIR": str(folder / "spool"),
            "REDIS_URL": redis_url,
        }

    def run(self, command: str, *words: str, answer: str | None = None, **environ: str) -> Result:
        """Runs a command in this process; an answer is what somebody types at a question."""
        runner = CliRunner(env={**self.environ, **environ})
        return runner.invoke(main, ["callbacks", command, self.account, *words], input=answer)

    def json(self, command: str, *words: str, **environ: str) -> Any:
        """What a command that succeeds prints with --json."""
        done = self.run(command, *words, "--json", **environ)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def command_line(
    sandbox: Sandbox, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    # It is for the whole process and for good: later tests could capture no line.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return CommandLine(sandbox, tmp_path, redis_url)


@pytest.mark.parametrize("version", VERSIONS)
def test_callback_is_registered_listed_and_deregistered(
    version: str, sandbox: Sandbox, command_line: CommandLine
) -> None:
    choice = ("--api-version", version)
    done = command_line.run("register", "--url", OWN, *choice)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "registered; registered: https://fota.example.com/***" in done.stdout
    assert sandbox.registered_url(version) == OWN
    (listed,) = command_line.json("list", *choice)
    assert (listed["service"], listed["login"], listed["version"]) == ("Fota", False, version)
    result = command_line.json("deregister", "--yes", *choice)
    assert (result["result"], result["registered_url"]) == ("deregistered", None)
    assert sandbox.registered_url(version) is None
    assert command_line.json("deregister", *choice)["result"] == "absent"
    assert command_line.json("list", *choice) == []


@pytest.mark.parametrize("words", [("register", "--url", OWN), ("deregister",)], ids=lambda w: w[0])
def test_callback_of_somebody_else_is_not_lost_without_a_yes(
    words: tuple[str, ...],
    sandbox: Sandbox,
    command_line: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.register_outside(OTHER)
    done = command_line.run(*words, answer="y")
    assert done.exit_code == 2
    assert "add --yes" in done.stderr
    assert "other.example.com" in done.stderr
    assert sandbox.registered_url() == OTHER
    monkeypatch.setattr("registrar.cli.common.is_interactive", lambda: True)
    refused = command_line.run(*words, answer="n")
    assert refused.exit_code == 1
    assert sandbox.registered_url() == OTHER
    confirmed = command_line.run(*words, answer="y")
    assert confirmed.exit_code == 0, confirmed.stderr
    assert sandbox.registered_url() != OTHER


def test_callback_of_this_deployment_is_replaced_and_removed_without_a_question(
    sandbox: Sandbox, command_line: CommandLine
) -> None:
    own = {
        "PUBLIC_URL": OWN,
        "CALLBACK_TOKEN": "a-new-token-of-the-commands",
        "CALLBACK_TOKEN_PREVIOUS": "an-older-token-of-the-commands",
        "CALLBACK_USERNAME": "listener",
        "CALLBACK_PASSWORD": "a-callback-password",
    }
    sandbox.register_outside(f"{OWN}/an-older-token-of-the-commands")
    done = command_line.run("register", **own)
    assert done.exit_code == 0, done.stderr
    assert sandbox.registered_url() == f"{OWN}/a-new-token-of-the-commands"
    listed = command_line.run("list", **own)
    assert "with username and password" in listed.stdout
    for secret in ("a-new-token-of-the-commands", "a-callback-password", "listener"):
        assert secret not in done.stdout + listed.stdout
    assert command_line.json("deregister", **own)["result"] == "deregistered"


def test_login_goes_to_another_url_only_if_asked_for(
    sandbox: Sandbox, command_line: CommandLine
) -> None:
    login = {"CALLBACK_USERNAME": "listener", "CALLBACK_PASSWORD": "a-callback-password"}
    command_line.run("register", "--url", OTHER, **login)
    assert command_line.json("list")[0]["login"] is False
    # The same URL with another login is another registration, so its owner is asked about.
    again = command_line.run("register", "--url", OTHER, "--with-login", "--yes", **login)
    assert again.exit_code == 0, again.stderr
    assert command_line.json("list")[0]["login"] is True


def test_output_shows_no_secret_and_nothing_that_a_terminal_would_obey(
    sandbox: Sandbox, command_line: CommandLine
) -> None:
    sandbox.register_outside(HOSTILE, username="somebody", password="in-clear")
    outputs = [
        command_line.run("list"),
        command_line.run("list", "--json"),
        command_line.run("register", "--url", OWN),
        command_line.run("deregister", "--yes"),
    ]
    for done in outputs:
        text = (done.stdout + done.stderr).replace("\n", "")
        assert all(letter.isprintable() for letter in text), done
        for secret in ("s3cret", "somebody", "in-clear"):
            assert secret not in text


def test_error_of_the_provider_is_printed_and_ends_with_status_1(
    sandbox: Sandbox, command_line: CommandLine
) -> None:
    sandbox.fault("/api/fota", status=400, body='{"errorCode": "X\\u001b[2J"}', count=9)
    done = command_line.run("list")
    assert done.exit_code == 1
    assert "rejected: HTTP 400 X" in done.stderr
    assert "\x1b" not in done.stderr
    refused = command_line.run("register", "--api-version", "v2", "--url", "http://x.example.com")
    assert refused.exit_code == 1
    assert "ThingSpace refuses an http URL for v2" in refused.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("register",), "PUBLIC_URL"),
        (("register", "--url", "ftp://x.example.com"), "http or https"),
        (("register", "--url", "https://x.example.com:port"), "http or https"),
        (("register", "--url", OWN, "--with-login"), "CALLBACK_PASSWORD"),
        (("list", "--api-version", "v4"), "v4"),
        (("deregister", "--service", "Other"), "Other"),
    ],
)
def test_wrong_words_end_with_status_2_and_cost_no_login(
    words: tuple[str, ...], says: str, sandbox: Sandbox, command_line: CommandLine
) -> None:
    before = len(sandbox.requests())
    done = command_line.run(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert len(sandbox.requests()) == before


def test_commands_need_the_provider_s_credentials(command_line: CommandLine) -> None:
    done = command_line.run("list", THINGSPACE_KEY="", THINGSPACE_PASSWORD="")
    assert done.exit_code == 2
    assert "THINGSPACE_KEY: must be set" in done.stderr
    assert "THINGSPACE_PASSWORD: must be set" in done.stderr
    assert "PUBLIC_URL" not in done.stderr


def test_logins_with_a_wrong_password_are_counted(
    sandbox: Sandbox, command_line: CommandLine
) -> None:
    before = len(sandbox.requests(path=LOGIN))
    for _ in range(4):
        done = command_line.run("list", THINGSPACE_PASSWORD="a-wrong-password")
        assert done.exit_code == 1
        assert "a-wrong-password" not in done.stdout + done.stderr
    assert len(sandbox.requests(path=LOGIN)) == before + 2
    assert "breaker-open" in done.stderr


def run_example(source: str, sandbox: Sandbox, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        env={**sandbox.environment(), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def example_in_document() -> str:
    text = (ROOT / "docs" / "registration.md").read_text()
    (example,) = re.findall(r"```python\n(.*?CallbackClient.*?)```", text, re.DOTALL)
    return str(example)


def example_in_docstring() -> str:
    # From Python 3.13 on it has no indentation any more.
    text = inspect.cleandoc(CallbackClient.__doc__ or "")
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    ") or not line)


@pytest.mark.parametrize("example", [example_in_document, example_in_docstring])
def test_example_of_the_client_alone_runs(example: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    source = example()
    assert len([line for line in source.splitlines() if line.strip()]) <= 10
    assert run_example(source, sandbox, tmp_path) == "['https://fota.example.com/callback']\n"
    assert sandbox.registered_url() is None
    assert [call["method"] for call in sandbox.requests(path="/api/fota")][-3:] == [
        *("POST", "GET", "DELETE")
    ]


@pytest.mark.parametrize("url", ["http://thingspace.example.com/api", "thingspace.example.com", ""])
def test_client_alone_sends_no_credentials_in_clear(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="http"):
        CallbackClient.open(url, "key", "secret", "username", "password", state_dir=tmp_path)
