"""The result of a comparison as tables, for a terminal and for Markdown. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from bench.report.stats import FSYNCS, Run, Spread, select

COLUMNS = (
    ("messages/s", "per_s", "{:,.0f}"),
    ("p50 ms", "p50_ms", "{:.1f}"),
    ("p99 ms", "p99_ms", "{:.1f}"),
    ("p99.9 ms", "p999_ms", "{:.1f}"),
    ("CPU µs", "cpu_us", "{:.0f}"),
    ("Redis µs", "redis_cpu_us", "{:.0f}"),
    ("RSS MB", "rss_mb", "{:.0f}"),
    ("PSS MB", "pss_mb", "{:.0f}"),
)
LABEL_HEADINGS = ("appendfsync", "connections", "contender")
FIGURE_HEADINGS = tuple(heading for heading, _, _ in COLUMNS)
HEADINGS = (*LABEL_HEADINGS, *FIGURE_HEADINGS)
GROUP_BY = ("load", "fsync", "connections", "contender")
TARGET_HEADINGS = ("what", "wanted", "found", "met")
LOADS = {"closed": "as fast as it can", "open": "at a fixed rate"}


@dataclass(frozen=True)
class Row:
    """The medians of one contender under one load, over all rounds."""

    load: str
    fsync: str
    connections: int
    contender: str
    medians: dict[str, float]

    def cells(self) -> list[str]:
        """In the order of `HEADINGS`."""
        return [self.fsync, str(self.connections), self.contender, *_formatted(self.medians)]


def rows(runs: Sequence[Run]) -> list[Row]:
    """One for each contender and load, in the order in which they were first measured."""
    groups = dict.fromkeys(tuple(run[name] for name in GROUP_BY) for run in runs)
    ordered = sorted(groups, key=lambda group: (group[0], FSYNCS.index(group[1]), group[2]))
    labels = [dict(zip(GROUP_BY, group, strict=True)) for group in ordered]
    return [Row(**each, medians=_medians(select(runs, **each))) for each in labels]


def table(every: Iterable[Row], load: str) -> Table:
    """The rows of one load, for a terminal."""
    result = Table(title=LOADS[load], title_justify="left")
    for heading in LABEL_HEADINGS:
        result.add_column(heading)
    for heading in FIGURE_HEADINGS:
        result.add_column(heading, justify="right")
    for row in every:
        if row.load == load:
            result.add_row(*row.cells(), end_section=row.contender == "fastify")
    return result


def targets_table(targets: Iterable[dict[str, Any]]) -> Table:
    """For a terminal."""
    result = Table(title="what it must show", title_justify="left")
    for heading in TARGET_HEADINGS:
        result.add_column(heading)
    for target in targets:
        result.add_row(*target_cells(target))
    return result


def markdown(headings: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A table for a Markdown file."""
    lines = [headings, ["---"] * len(headings), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def comparison_markdown(runs: Sequence[Run]) -> str:
    """A table for each load, with a heading."""
    every = rows(runs)
    parts = []
    for load, title in LOADS.items():
        lines = [row.cells() for row in every if row.load == load]
        if lines:
            parts += [f"**{title.capitalize()}**{_rates(runs, load)}", markdown(HEADINGS, lines)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def targets_markdown(targets: Iterable[dict[str, Any]]) -> str:
    """The table of targets for a Markdown file."""
    return markdown(TARGET_HEADINGS, map(target_cells, targets))


def conditions(result: dict[str, Any], runs: Sequence[Run]) -> str:
    """Date, machine, options, versions, and how much of the machine other programs used.

    Args:
        result: its `machine` and `options` are used.
        runs: that were measured; not empty.
    """
    machine = result["machine"]
    foreign = Spread.of([run["foreign"] for run in runs])
    options = ", ".join(f"{name} {value}" for name, value in result["options"].items())
    versions = ", ".join(f"{name} {text}" for name, text in machine["versions"].items() if text)
    return (
        f"{machine['date']}, commit {machine['commit']}: {machine['cores']} cores of "
        f"{machine['processor']}, {machine['memory_gb']} GB, Linux {machine['kernel']}. Options: "
        f"{options}. Other programs took {foreign.median:.0%} of the machine (median of the runs; "
        f"at the most {foreign.greatest:.0%}).\n\nVersions: {versions}."
    )


def progress_line(run: Run) -> str:
    """One run in one line."""
    return (
        f"{run['fsync']:8} {run['contender'][-24:]:24} {run['connections']:3} connections: "
        f"{run['per_s']:7.0f}/s  p50 {run['p50_ms']:7.2f}  p99 {run['p99_ms']:7.2f} ms  "
        f"CPU {run['cpu_us']:5.0f} + {run['redis_cpu_us']:4.0f} µs  others {run['foreign']:4.0%}"
    )


def target_cells(target: dict[str, Any]) -> list[str]:
    """The result of `Target.as_dict`, in the order of `TARGET_HEADINGS`."""
    met = "yes" if target["met"] else "no"
    return [target["what"], target["wanted"], f"{target['found']:.3g}", met]


def cells(runs: Sequence[Run]) -> list[str]:
    """The medians of some runs, in the order of `FIGURE_HEADINGS`."""
    return _formatted(_medians(runs))


def _rates(runs: Sequence[Run], load: str) -> str:
    rates = {run["fsync"]: run["rate"] for run in select(runs, load=load)}
    text = ", ".join(f"{rate:.0f}/s with {fsync}" for fsync, rate in rates.items() if rate)
    return f" (half of what FastAPI can: {text})" if text else ""


def _formatted(medians: dict[str, float]) -> list[str]:
    return [form.format(medians[name]) for _, name, form in COLUMNS]


def _medians(runs: Sequence[Run]) -> dict[str, float]:
    return {name: Spread.of([run[name] for run in runs]).median for _, name, _ in COLUMNS}
