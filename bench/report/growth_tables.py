"""The result of `bench/run growth` as tables, and the targets that it must meet. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from bench.report import stats, tables
from bench.report.stats import MAX_WORKER_MB, Run

TITLES = {
    "queue": "An empty queue, and a full one",
    "bodies": "The size of a message",
    "partitions": "Partitions, on a Cluster of three masters with a replica each",
    "cluster": "Partitions, on a Cluster of six masters",
    "spool": "Redis there, and Redis stopped",
}
HEADINGS = ("", *tables.FIGURE_HEADINGS)
MEMORY_HEADINGS = ("messages so far", "RSS MB", "PSS MB")
MAX_MEMORY_GROWTH = 1.02


def terminal_tables(result: dict[str, Any]) -> Iterator[Table]:
    """One table for each part that was measured, then the targets."""
    for title, headings, rows in _sections(result["runs"], result["memory"]):
        table = Table(*headings, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        yield table
    yield tables.targets_table(result["targets"])


def markdown(runs: Sequence[Run], memory: Sequence[dict[str, float]]) -> str:
    """A table for each part that was measured, with a heading."""
    parts = []
    for title, headings, rows in _sections(runs, memory):
        parts += [f"**{title}**", tables.markdown(headings, rows)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def targets(runs: Sequence[Run], memory: Sequence[dict[str, float]]) -> Iterator[stats.Target]:
    """What the figures must show, as far as it was measured."""
    for part, name, other, what, minimum in (
        ("queue", "full", "empty", "messages/s with a full queue over an empty one's", 0.95),
        ("spool", "spool", "Redis", "messages/s with Redis stopped over those with it", 0.5),
    ):
        ratio = stats.ratio(
            runs, "per_s", {"part": part, "name": name}, {"part": part, "name": other}
        )
        if ratio:
            yield stats.Target(what, ratio.median, minimum)
    if len(memory) > 1:
        sizes = [step["rss_mb"] for step in memory]
        yield stats.Target("MB of a worker, greatest", max(sizes), MAX_WORKER_MB, at_most=True)
        what = "its memory at the end over that at half time"
        growth = sizes[-1] / sizes[len(sizes) // 2]
        yield stats.Target(what, growth, MAX_MEMORY_GROWTH, at_most=True)


def _sections(
    runs: Sequence[Run], memory: Sequence[dict[str, float]]
) -> Iterator[tuple[str, Sequence[str], list[list[str]]]]:
    """Title, headings and rows of each part that was measured."""
    for part, title in TITLES.items():
        own = stats.select(runs, part=part)
        if own:
            names = dict.fromkeys(run["name"] for run in own)
            rows = [[name, *tables.cells(stats.select(own, name=name))] for name in names]
            yield title, HEADINGS, rows
    if memory:
        rows = [
            [f"{step['messages']:,.0f}", f"{step['rss_mb']:.1f}", f"{step['pss_mb']:.1f}"]
            for step in memory
        ]
        yield "A worker's memory, the largest", MEMORY_HEADINGS, rows
