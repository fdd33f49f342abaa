"""The base installation: consumers' programs and all commands work without what only the service needs."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
import pytest

from listener.__main__ import main
from listener.lazy_commands import LazyCommand
from tests.support.cli import DEAD, QUARANTINE, STREAM, add, bury, payload, read
from tests.support.import_recorder import OF_THE_SERVICE, imports_of

CONSUMER = """
from listener.consumer import Consumer, message
consumer = Consumer({url!r}, group="program")
@consumer.on("upgrade-finished")
def handle(message):
    print("handled", message.upgrade_id)
    consumer.stop()
consumer.run()
"""


@pytest.fixture
def queue(redis_client: Any) -> Any:
    """A message, a pending one, a dead letter, and a refused message that passes now."""
    redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    for number in range(3):
        add(redis_client, number)
    first, _ = read(redis_client, "billing", 2)
    bury(redis_client, first)
    redis_client.xadd(
        QUARANTINE, {"reason": "wrong-shape", "time": "?", "data": json.dumps(payload(9))}
    )
    return redis_client


def run(
    redis_url: str, folder: Path, *words: str, status: int = 0, imports: Collection[str] = ()
) -> str:
    """What a command prints, in an installation without the packages of the service."""
    environ = {"REDIS_URL": redis_url, "SPOOL_DIR": str(folder)}
    done, imported = imports_of("listener", *words, absent=OF_THE_SERVICE, environ=environ)
    assert (done.returncode, done.stderr) == (status, ""), done
    assert imported & {"rich", "marshmallow", "apispec"} == set(imports)
    return done.stdout


def leaves(command: click.Command, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command that is no group."""
    command = command.load() if isinstance(command, LazyCommand) else command
    if not isinstance(command, click.Group):
        return [above]
    return [
        words for name, each in command.commands.items() for words in leaves(each, (*above, name))
    ]


@pytest.mark.parametrize(
    "words",
    ["stats", "pending", "dead list", "quarantine list", "tail --from start --no-follow", "export"],
)
def test_command_that_looks_prints_json_without_rich(
    queue: Any, redis_url: str, tmp_path: Path, words: str
) -> None:
    lines = run(redis_url, tmp_path, *words.split(), "--json").splitlines()
    assert lines
    assert all(map(json.loads, lines))


def test_check_looks_at_everything(queue: Any, redis_url: str, tmp_path: Path) -> None:
    lines = run(redis_url, tmp_path, "check", "--json").splitlines()
    assert {"redis", "group billing", "spool"} <= {json.loads(line)["topic"] for line in lines}


def test_table_is_drawn_with_rich(queue: Any, redis_url: str, tmp_path: Path) -> None:
    shown = run(redis_url, tmp_path, "pending", imports=["rich"])
    assert "billing" in shown


def test_commands_that_change_the_queue_work(queue: Any, redis_url: str, tmp_path: Path) -> None:
    run(redis_url, tmp_path, "dead", "requeue", "--group", "billing", "--all", "--yes")
    assert queue.xlen(DEAD) == 0
    replayed = run(redis_url, tmp_path, "quarantine", "replay", "--all", "--yes")
    assert "upgrade-finished" in replayed
    assert queue.xlen(STREAM) == 4


def test_schemas_and_the_spool_need_no_redis(tmp_path: Path) -> None:
    nowhere = "unix:///nowhere/redis.sock"
    schema = run(nowhere, tmp_path, "schema", "entry", imports=["marshmallow", "apispec"])
    assert json.loads(schema)["type"] == "object"
    assert run(nowhere, tmp_path, "spool", "list", "--json") == ""


def test_every_command_can_be_called(tmp_path: Path) -> None:
    """In one process, which imports them all."""
    program = tmp_path / "all_commands.py"
    program.write_text(
        "from listener.__main__ import main\n"
        f"for words in {leaves(main)!r}:\n    main([*words, '--help'], standalone_mode=False)\n"
    )
    done, imported = imports_of(str(program), absent=OF_THE_SERVICE, environ={})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: ") == len(leaves(main))
    assert imported & OF_THE_SERVICE == set()


def test_consumers_program_handles_a_message(queue: Any, redis_url: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CONSUMER.format(url=redis_url))
    done, imported = imports_of(str(program), absent=OF_THE_SERVICE, environ={})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("handled u-0\n")
    assert imported & {"marshmallow", "apispec"} == set()
