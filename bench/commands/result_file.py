"""What the commands share: the file of a result, and the terminal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.rig import environment

Command = Callable[..., None]


def json_option(name: str) -> Callable[[Command], Command]:
    """The option `--json`, passed on as `target`; `name` is that of the file in var/bench."""
    return click.option(
        "--json",
        "target",
        type=click.Path(dir_okay=False, path_type=Path),
        default=environment.VAR / name,
        help=f"Where the whole result goes.  [default: var/bench/{name}]",
    )


def write(target: Path, result: dict[str, Any]) -> None:
    """Writes a result; a reader finds the one before or this one, never a part of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    partial.replace(target)


def console() -> Console:
    """Standard output. A file or a pipe has no width, and gets one that the tables fit."""
    result = Console()
    return result if result.is_terminal else Console(width=120)
