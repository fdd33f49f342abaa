"""The table of docs/metrics.md, made from the declarations: `python -m listener.ops.metrics_table`."""

from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase

from listener import metrics


def table() -> str:
    """One row for each metric: name as exposed, type, labels, meaning. Markdown."""
    rows = [*_events(), *_states()]
    lines = (" | ".join(("", *row, "")).strip() for row in rows)
    return "\n".join(("| name | type | labels | says |", "|---|---|---|---|", *lines, ""))


def _events() -> Iterator[tuple[str, ...]]:
    for metric in metrics.PROCESS_METRICS:
        described = next(iter(metric.describe()))
        suffix = "_total" if described.type == "counter" else ""
        labels = _labels(_labels_of(metric))
        yield f"`{described.name}{suffix}`", described.type, labels, described.documentation


def _states() -> Iterator[tuple[str, ...]]:
    for state in metrics.SCRAPE_GAUGES:
        yield f"`{state.name}`", "gauge", _labels(state.labels), state.documentation


def _labels_of(metric: MetricWrapperBase) -> tuple[str, ...]:
    # prometheus_client has no public way to ask.
    return tuple(metric._labelnames)  # noqa: SLF001


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "\N{EN DASH}"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
