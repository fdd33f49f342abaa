"""The command line `bench/run`: its commands, its help, and the commands that the documents show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bench.chaos.__main__ import main as chaos
from bench.cli import main as bench

ROOT = Path(__file__).parents[3]
COMMANDS = (
    "all",
    "compare",
    "consumer",
    "growth",
    "install",
    "memory",
    "replay",
    "searches",
    "slow-connections",
    "token-timing",
)
# What documents write in place of a folder, which has to exist.
CHECKOUTS = ("CHECKOUT", "/path/to/another/checkout")
PROGRAMS: dict[str, click.Command] = {"bench/run": bench, "bin/chaos": chaos}
SHOWN = re.compile(r"(?:^ {4}|`|^[$] )(?:\w+=\S+ )?(bench/run|bin/chaos)\b([^`\n#]*)", re.MULTILINE)


def parse(program: str, words: list[str]) -> click.Context:
    """Parses without running anything. Raises click.UsageError."""
    command = PROGRAMS[program]
    context = command.make_context(program, list(words))
    if isinstance(command, click.Group):
        name, subcommand, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert subcommand
        return subcommand.make_context(name, rest, parent=context)
    return context


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")]


def shown() -> Iterator[tuple[str, str]]:
    for path in documents():
        for program, arguments in SHOWN.findall(path.read_text()):
            yield program, arguments.strip()


@pytest.mark.parametrize(("program", "arguments"), sorted(set(shown())))
def test_command_in_a_document_parses(program: str, arguments: str) -> None:
    words = shlex.split(arguments)
    if "--help" in words:
        words.remove("--help")
    parse(program, [str(ROOT) if word in CHECKOUTS else word for word in words])


def test_every_measurement_stands_in_the_document() -> None:
    named = {arguments.split(" ")[0] for program, arguments in shown() if program == "bench/run"}
    assert set(COMMANDS) <= named


@pytest.mark.parametrize(
    "words", [["growht"], ["growth", "--entires", "5"], ["--only", "x"], ["token-timing", "x"]]
)
def test_wrong_command_does_not_parse(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        parse("bench/run", words)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example_that_parses(name: str) -> None:
    result = CliRunner().invoke(bench, [name, "--help"], prog_name="bench/run")
    assert result.exit_code == 0
    [example] = re.findall(r"Example: bench/run (.*)", result.output)
    context = parse("bench/run", shlex.split(example))
    assert context.info_name == name


def test_help_of_the_group_lists_the_commands() -> None:
    result = CliRunner().invoke(bench, ["--help"], prog_name="bench/run")
    assert set(bench.commands) == set(COMMANDS)
    assert all(f"  {name} " in result.output for name in COMMANDS)


@pytest.mark.parametrize("words", [[], ["--quick"], ["--rounds", "5", "--only", "throughput"]])
def test_options_without_a_command_are_those_of_all(words: list[str]) -> None:
    context = parse("bench/run", words)
    assert context.info_name == "all"
    assert context.params == parse("bench/run", ["all", *words]).params
