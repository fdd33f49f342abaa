"""Puts a result into docs/benchmarks.md, between the marks that are there for it."""

import re
from typing import Any

from bench import growth
from bench.report import plot, rendering
from bench.rig.environment import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "benchmarks.svg"


def write_comparison(result: dict[str, Any]) -> None:
    """The tables and the plot of `bench/run`."""
    most = max(run["connections"] for run in result["runs"])
    PLOT.write_text(plot.svg(rendering.rows(result["runs"]), most))
    _replace("comparison", rendering.comparison_markdown(result))


def write_growth(result: dict[str, Any]) -> None:
    """The tables of `bench/run growth`."""
    _replace("growth", growth.as_markdown(result))


def replaced(text: str, name: str, part: str) -> str:
    """The text with another part between the marks of that name.

    Raises:
        ValueError: the marks are missing.
    """
    form = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    result, count = form.subn(lambda found: found[1] + part.strip() + "\n" + found[2], text)
    if count != 1:
        raise ValueError(f"no place for {name}")
    return result


def _replace(name: str, part: str) -> None:
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), name, part))
