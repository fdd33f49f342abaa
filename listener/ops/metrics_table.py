"""Makes the table of docs/metrics.md from the declarations: `python -m listener.ops.metrics_table`."""

from collections.abc import Iterator

from prometheus_client.metrics import MetricWrapperBase

from listener import metrics


def metrics_table() -> str:
    """One row for each metric: name as exposed, type, labels, meaning. Markdown."""
    rows = [*_process_metrics(), *_scrape_gauges()]
    lines = (" | ".join(("", *row, "")).strip() for row in rows)
    return "\n".join(("| name | type | labels | says |", "|---|---|---|---|", *lines, ""))


def _process_metrics() -> Iterator[tuple[str, ...]]:
    for metric in metrics.PROCESS_METRICS:
        family = next(iter(metric.describe()))
        suffix = "_total" if family.type == "counter" else ""
        labels = _labels(_label_names(metric))
        yield f"`{family.name}{suffix}`", family.type, labels, family.documentation


def _scrape_gauges() -> Iterator[tuple[str, ...]]:
    for gauge in metrics.SCRAPE_GAUGES:
        yield f"`{gauge.name}`", "gauge", _labels(gauge.labels), gauge.documentation


def _label_names(metric: MetricWrapperBase) -> tuple[str, ...]:
    # prometheus_client has no public way to get them.
    return tuple(metric._labelnames)  # noqa: SLF001


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "\N{EN DASH}"


if __name__ == "__main__":
    print(metrics_table(), end="")  # noqa: T201
