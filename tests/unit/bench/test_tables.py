"""The tables and the JSON of a benchmark's results."""

import json
import statistics
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from bench.report import growth_tables, plot, tables
from tests.support.bench_results import CONTENDERS, result, run, runs

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "bench" / "report" / "schema.json").read_text())


def test_table_has_a_row_for_each_contender_and_load_with_the_medians() -> None:
    more = [run("ours", "always", number, per_s=1000.0 * number) for number in (1, 2, 6)]
    rows = tables.rows([*more, *runs()])
    assert len(rows) == 2 * len(CONTENDERS) + 1
    [ours_always] = [
        row for row in rows if (row.contender, row.fsync, row.load) == ("ours", "always", "closed")
    ]
    assert ours_always.medians["per_s"] == statistics.median([1000, 2000, 6000, 1000, 1000])


def test_tables_can_be_printed_and_written() -> None:
    comparison = result(runs())
    with Console(width=140, record=True, quiet=False) as console, console.capture() as capture:
        console.print(tables.table(tables.rows(comparison["runs"]), "closed"))
        console.print(tables.targets_table(comparison["targets"]))
    assert "fastapi" in capture.get()
    text = tables.comparison_markdown(comparison["runs"])
    assert "| always | 64 | fastify | 1,000 | 5.0 |" in text
    assert "500/s with always" in text


def test_schema_refuses_a_run_without_its_rate() -> None:
    comparison = result(runs())
    jsonschema.validate(comparison, SCHEMA)
    del comparison["runs"][0]["per_s"]
    with pytest.raises(jsonschema.ValidationError, match="per_s"):
        jsonschema.validate(comparison, SCHEMA)


def test_plot_is_xml_with_a_bar_for_each_figure() -> None:
    root = ET.fromstring(plot.svg(tables.rows(runs()), 64))
    bars = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if rect.get("y")]
    legend = len(plot.COLOURS)
    assert len(bars) == len(plot.PLOTS) * len(CONTENDERS) * 2 + legend


def test_growth_is_shown_part_by_part_with_its_targets() -> None:
    queue = [
        run("ours", "everysec", 0, part="queue", name=name, per_s=per_s)
        for name, per_s in (("empty", 1000.0), ("full", 900.0))
    ]
    memory = [{"messages": 1e6, "rss_mb": mb, "pss_mb": 40.0} for mb in (60.0, 61.5, 62.0)]
    targets = [target.as_dict() for target in growth_tables.targets(queue, memory)]
    growth = {**result(queue), "memory": memory, "targets": targets}
    text = growth_tables.markdown(queue, memory) + tables.targets_markdown(targets)
    assert "| full | 900 |" in text
    assert "| 1,000,000 | 61.5 | 40.0 |" in text
    assert "| messages/s with a full queue over an empty one's | ≥ 0.95 | 0.9 | no |" in text
    assert "| MB of a worker, greatest | ≤ 80 | 62 | yes |" in text
    assert "| its memory at the end over that at half time | ≤ 1.02 | 1.01 | yes |" in text
    assert len(list(growth_tables.terminal_tables(growth))) == 3
