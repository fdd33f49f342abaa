"""The command line's own manners: help, usage mistakes, and what the documents show of it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from listener.__main__ import main
from listener.lazy_commands import LazyCommand
from tests.support.cli import run

ROOT = Path(__file__).parents[2]
NOWHERE = "unix:///nowhere/redis.sock"
LISTINGS = ("check", "dead list", "dead show", "export", "pending", "quarantine list",
            "quarantine show", "spool list", "spool show", "stats", "tail")  # fmt: skip
LINE = re.compile(r"python -m listener ([a-z][^\n`;|#&]*)")


def loaded(command: click.Command) -> click.Command:
    return command.load() if isinstance(command, LazyCommand) else command


def commands(group: click.Group = main, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in ((name, loaded(each)) for name, each in group.commands.items()):
        yield f"{above}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does_and_has_an_example_that_parses(name: str) -> None:
    shown = run(NOWHERE, *name.split(), "--help")
    assert shown.exit_code == 0
    flat = " ".join(shown.output.split())
    examples = re.findall(r"Examples?: python -m listener ([^|;]*)", flat)
    assert examples, flat
    for example in examples:
        parse(example)


@pytest.mark.parametrize("name", LISTINGS)
def test_what_lists_has_json(name: str) -> None:
    assert any("--json" in option.opts for option in COMMANDS[name].params)


def test_the_overview_names_every_command_and_the_exit_statuses() -> None:
    shown = run(NOWHERE, "--help").output
    assert all(name in shown for name in main.commands)
    assert "Exit status" in shown


def commands_in_documents() -> Iterator[tuple[str, str]]:
    """Each command that a document shows, but for those with an ellipsis, and the document."""
    for document in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]:
        for line in LINE.findall(document.read_text()):
            if "…" not in line:
                yield document.name, line


@pytest.mark.parametrize(("document", "line"), [*commands_in_documents()])
def test_command_that_a_document_shows_parses(document: str, line: str) -> None:
    del document
    parse(line.replace("ID", "1-0").replace("GROUP", "billing"))


def test_operations_shows_every_command() -> None:
    shown = LINE.findall((ROOT / "docs" / "operations.md").read_text())
    for name, command in COMMANDS.items():
        assert isinstance(command, click.Group) or any(s.startswith(name) for s in shown), name


@pytest.mark.parametrize("name", ["check", "stats", "tail", "dead list", "export"])
def test_wrong_settings_end_with_status_2_and_are_all_named(name: str) -> None:
    ended = run("ftp://x", *name.split(), QUEUE_PARTITIONS="none")
    assert ended.exit_code == 2
    assert "REDIS_URL: " in ended.stderr
    assert "QUEUE_PARTITIONS: " in ended.stderr


def parse(line: str) -> None:
    """Parses a command and its arguments; runs nothing."""
    group: click.Group = main
    words = shlex.split(line)
    while True:
        command = loaded(group.commands[words.pop(0)])
        if not isinstance(command, click.Group):
            break
        if not words or words == ["--help"]:
            return
        group = command
    if not words:
        # Named, not shown: it is there.
        return
    with command.make_context(command.name, words, resilient_parsing=False):
        pass
