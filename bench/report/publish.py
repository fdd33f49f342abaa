"""Writes results into docs/benchmarks.md, between the marks for them, the plot beside it, and the raw tables."""

import re
from pathlib import Path
from typing import Any

from bench.report import growth_tables, plot, tables

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "benchmarks.svg"
RAW = ROOT / "bench" / "results"


def publish_all(result: dict[str, Any]) -> None:
    """Writes the targets and the plot of `bench/run` into the document, and its tables into the raw results."""
    comparison, growth = result["comparison"], result["growth"]
    conditions = tables.conditions(result, [*comparison, *growth])
    targets = tables.targets_markdown(result["targets"])
    DOCUMENT.write_text(replaced(DOCUMENT.read_text(), "results", f"{conditions}\n\n{targets}"))
    if comparison:
        connections = max(run["connections"] for run in comparison)
        PLOT.write_text(plot.svg(tables.rows(comparison), connections))
    parts = (
        tables.comparison_markdown(comparison),
        growth_tables.markdown(growth, result["worker"]),
    )
    _write_raw("all", "What `bench/run` measured", conditions, *parts, targets)


def publish_growth(result: dict[str, Any]) -> None:
    """Writes the tables of `bench/run growth`."""
    runs, memory = result["runs"], result["memory"]
    parts = [tables.conditions(result, runs)] if runs else []
    targets = tables.targets_markdown(result["targets"])
    tables_of_parts = growth_tables.markdown(runs, memory)
    _write_raw("growth", "What `bench/run growth` measured", *parts, tables_of_parts, targets)


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


def _write_raw(name: str, title: str, *parts: str) -> None:
    RAW.mkdir(exist_ok=True)
    blocks = [f"# {title}", *(part.strip() for part in parts if part.strip())]
    (RAW / f"{name}.md").write_text("\n\n".join(blocks) + "\n")
