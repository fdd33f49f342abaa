"""Makes the tables of docs/metrics.md from the declarations: `python -m listener.ops.metrics_table`."""

from collections.abc import Iterable, Iterator

from prometheus_client.metrics import MetricWrapperBase

from listener import metrics
from listener.consumer.monitoring.gauges import RUNNER_GAUGES
from listener.consumer.monitoring.prometheus import CONSUMER_METRICS
from listener.metrics import SCRAPE_GAUGES

Row = tuple[str, str, tuple[str, ...], str]


def metrics_table() -> str:
    """The metrics of the service, one row for each: name as exposed, type, labels, meaning. Markdown."""
    gauges = ((gauge.name, "gauge", gauge.labels, gauge.documentation) for gauge in SCRAPE_GAUGES)
    return _table([*_counts(metrics.PROCESS_METRICS), *gauges])


def runner_metrics_table() -> str:
    """The metrics of `fota consume`, in the same form."""
    gauges = ((one.name, one.type, one.labels, one.documentation) for one in RUNNER_GAUGES)
    return _table([*_counts(CONSUMER_METRICS), *gauges])


def _counts(declared: Iterable[MetricWrapperBase]) -> Iterator[Row]:
    for metric in declared:
        family = next(iter(metric.describe()))
        suffix = "_total" if family.type == "counter" else ""
        yield f"{family.name}{suffix}", family.type, _label_names(metric), family.documentation


def _table(rows: Iterable[Row]) -> str:
    lines = [
        f"| `{name}` | {type_} | {_labels(labels)} | {documentation} |"
        for name, type_, labels, documentation in rows
    ]
    return "\n".join(("| name | type | labels | says |", "|---|---|---|---|", *lines, ""))


def _label_names(metric: MetricWrapperBase) -> tuple[str, ...]:
    # prometheus_client has no public way to get them.
    return tuple(metric._labelnames)  # noqa: SLF001


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "\N{EN DASH}"


if __name__ == "__main__":
    print(metrics_table(), runner_metrics_table(), sep="\n", end="")  # noqa: T201
