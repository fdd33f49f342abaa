"""Writes a result into docs/benchmarks.md, between the marks for it, and the plot beside it."""

import re
from pathlib import Path
from typing import Any

from bench.report import growth_tables, plot, tables

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = DOCS / "benchmarks.md"
PLOT = DOCS / "benchmarks.svg"


def publish_comparison(result: dict[str, Any]) -> None:
    """Writes the tables and the plot of `bench/run`."""
    connections = max(run["connections"] for run in result["runs"])
    PLOT.write_text(plot.svg(tables.rows(result["runs"]), connections))
    _replace("comparison", tables.comparison_markdown(result))


def publish_growth(result: dict[str, Any]) -> None:
    """Writes the tables of `bench/run growth`."""
    _replace("growth", growth_tables.markdown(result))


def replaced(text: str, name: str, part: str) -> str:
    """The text with another part between the marks of that name.

    Raises:
        ValueError: the marks are missing.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    result, count = pattern.subn(lambda match: match[1] + part.strip() + "\n" + match[2], text)
    if count != 1:
        raise ValueError(f"no place for {name}")
    return result


def _replace(name: str, part: str) -> None:
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), name, part))
