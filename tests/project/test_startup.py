"""What a command imports before it works: a start is as slow as what it imports."""

from collections.abc import Mapping

import click
import pytest

import listener.__main__
import registrar.__main__
from listener.lazy_commands import LazyCommand
from registrar.settings import CREDENTIAL_NAMES
from tests.support.import_recorder import OF_THE_SERVICE, imports_of

LAZY = [
    *listener.__main__.main.commands.values(),
    *registrar.__main__.main.commands.values(),
]
DRAWING = {"rich", "pygments"}
SCHEMAS = {"marshmallow", "apispec"}
LIBRARIES = {
    *OF_THE_SERVICE, *DRAWING, *SCHEMAS, "redis", "hiredis", "structlog", "orjson", "prometheus_client",
    "opentelemetry", "sqlite3", "asyncio", "ssl",
}  # fmt: skip
# redis-py imports the last two, whatever is used of it.
QUEUE = {"redis", "hiredis", "structlog", "orjson", "asyncio", "ssl"}
NEEDED: Mapping[str, set[str]] = {
    "check": QUEUE | {"sqlite3", "prometheus_client"},
    "consume": set(),
    "dead": QUEUE,
    "export": QUEUE,
    "group": QUEUE,
    "pending": QUEUE,
    "quarantine": QUEUE | {"sqlite3", "prometheus_client"},
    "replay": QUEUE,
    "resend": QUEUE,
    "schema": SCHEMAS,
    "send-test": QUEUE | {"sqlite3"},
    "spool": {"sqlite3", "structlog", "orjson"},
    "stats": QUEUE,
    "tail": QUEUE,
}


@pytest.mark.parametrize("module", ["listener", "registrar"])
@pytest.mark.parametrize("arguments", [(), ("--help",), ("no-such-command",)], ids=str)
def test_overview_waits_for_no_library(module: str, arguments: tuple[str, ...]) -> None:
    done, imported = imports_of(module, *arguments, environ={})
    assert done.returncode == (0 if "--help" in arguments else 2), done.stderr
    assert imported & LIBRARIES == set()


@pytest.mark.parametrize("command", sorted(listener.__main__.main.commands))
def test_command_imports_what_it_works_with_and_nothing_else(command: str) -> None:
    done, imported = imports_of("listener", command, "--help", environ={})
    assert done.returncode == 0, done.stderr
    assert imported & LIBRARIES <= NEEDED[command]


@pytest.mark.parametrize("command", sorted(registrar.__main__.main.commands))
def test_help_of_a_registrars_command_waits_for_no_client(command: str) -> None:
    done, imported = imports_of("registrar", command, "--help", environ={})
    assert done.returncode == 0, done.stderr
    # structlog imports asyncio.
    assert imported & LIBRARIES <= {"structlog", "orjson", "asyncio", "ssl"}


@pytest.mark.parametrize("words", ["status", "run -- true", "callbacks list 0242078689-00001"])
def test_registrar_says_what_the_base_installation_lacks(words: str) -> None:
    environ = {
        "THINGSPACE_ACCOUNTS": "0242078689-00001",
        "PUBLIC_URL": "https://fota.example.com/callback",
        "CALLBACK_TOKEN": "token-of-all-the-tests",
        **dict.fromkeys(CREDENTIAL_NAMES, "of-the-tests"),
    }
    done, _ = imports_of("registrar", *words.split(), absent=OF_THE_SERVICE, environ=environ)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: urllib3 is not installed: the registrar needs more than a consumer, "
        "pip install 'thingspace-fota-listener[service]'\n"
    )


def test_consumers_program_imports_neither_the_service_nor_the_schemas() -> None:
    _, imported = imports_of("listener.consumer.consumer", environ={})
    assert "redis" in imported
    assert imported & (OF_THE_SERVICE | SCHEMAS) == set()


@pytest.mark.parametrize("lazy", LAZY, ids=lambda lazy: lazy.name)
def test_summary_of_a_command_stands_where_its_group_is_made(lazy: click.Command) -> None:
    assert isinstance(lazy, LazyCommand)
    command = lazy.load()
    assert command.name == lazy.name
    assert command.short_help is None
    assert lazy.short_help
