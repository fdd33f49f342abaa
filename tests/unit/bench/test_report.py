import ast
import itertools
import json
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from bench.compare import Plan
from bench.load import messages
from bench.report import growth_tables, plot, publish, stats, tables
from bench.rig.contender import ours

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "bench" / "report" / "schema.json").read_text())
CONTENDERS = ("ours", "fastapi", "flask", "fastify")


def run(contender: str, fsync: str, number: int, **more: Any) -> stats.Run:
    figures_of_one = {"seconds": 5.0, "rate": None, "p50_ms": 5.0, "p99_ms": 9.0, "p999_ms": 12.0}
    usage = {"cpu_us": 200.0, "redis_cpu_us": 30.0, "rss_mb": 60.0, "pss_mb": 40.0}
    machine = {"messages": 5000, "entries": 5001, "unanswered": 0, "foreign": 0.02, "stolen": 0.0}
    where = {"contender": contender, "fsync": fsync, "round": number, "connections": 64}
    return {"load": "closed", "per_s": 1000.0} | figures_of_one | usage | machine | where | more


def runs() -> list[stats.Run]:
    every = itertools.product(("everysec", "always"), CONTENDERS, range(2))
    closed = [run(who, fsync, number) for fsync, who, number in every]
    return [*closed, run("ours", "always", 0, load="open", rate=500.0)]


def whole_report(found: list[stats.Run]) -> dict[str, Any]:
    machine = {
        "date": "2026-11-23T00:00:00Z",
        "processor": "one",
        "cores": 2,
        "memory_gb": 8.0,
        "kernel": "6.1",
        "versions": {"python": "3.11.2", "node": None},
        "commit": "abc",
    }
    return {
        "format": 1,
        "machine": machine,
        "contenders": dict.fromkeys(CONTENDERS, "a title"),
        "options": {"seconds": 5, "rounds": 2},
        "runs": found,
        "targets": [target.as_dict() for target in stats.targets(found)],
    }


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert stats.percentile(values, 50) == 50
    assert stats.percentile(values, 99) == 99
    assert stats.percentile(values, 99.9) == 100
    assert stats.percentile([7.0], 0.1) == 7
    with pytest.raises(ValueError, match="no values"):
        stats.percentile([], 50)


def test_a_ratio_pairs_the_runs_of_one_round() -> None:
    # The machine was twice as fast in the second round: that must not show.
    found = [
        run("ours", "always", 0, per_s=1500.0),
        run("fastapi", "always", 0, per_s=1000.0),
        run("ours", "always", 1, per_s=3000.0),
        run("fastapi", "always", 1, per_s=2000.0),
        run("ours", "always", 2, per_s=9999.0),
    ]
    spread = stats.ratio(found, "per_s", {"contender": "ours"}, {"contender": "fastapi"})
    assert spread == stats.Spread(1.5, 1.5, 1.5)
    assert stats.ratio(found, "per_s", {"contender": "ours"}, {"contender": "flask"}) is None


def test_the_targets_are_met_from_the_right_side() -> None:
    found = [
        run("ours", "always", 0, per_s=1500.0, cpu_us=81.0),
        run("fastapi", "always", 0, per_s=1000.0, cpu_us=100.0),
    ]
    told = {target.what: target.met for target in stats.targets(found)}
    assert told["messages/s over FastAPI's, always"]
    assert not told["CPU per message over FastAPI's, always"]
    assert told["MB of a worker"]
    assert not [what for what in told if "Flask" in what]


def test_a_table_has_a_row_for_each_contender_and_load_with_the_medians() -> None:
    found = [run("ours", "always", number, per_s=1000.0 * number) for number in (1, 2, 6)]
    rows = tables.rows([*found, *runs()])
    assert len(rows) == 2 * len(CONTENDERS) + 1
    [ours_always] = [
        row for row in rows if (row.contender, row.fsync, row.load) == ("ours", "always", "closed")
    ]
    assert ours_always.medians["per_s"] == statistics.median([1000, 2000, 6000, 1000, 1000])


def test_the_tables_can_be_printed_and_written() -> None:
    found = whole_report(runs())
    with Console(width=140, record=True, quiet=False) as console, console.capture() as capture:
        console.print(tables.table(tables.rows(found["runs"]), "closed"))
        console.print(tables.targets_table(found["targets"]))
    assert "fastapi" in capture.get()
    text = tables.comparison_markdown(found)
    assert "| always | 64 | fastify | 1,000 | 5.0 |" in text
    assert "500/s with always" in text


def test_the_result_has_the_form_that_its_schema_describes() -> None:
    found = whole_report(runs())
    jsonschema.validate(found, SCHEMA)
    del found["runs"][0]["per_s"]
    with pytest.raises(jsonschema.ValidationError, match="per_s"):
        jsonschema.validate(found, SCHEMA)


def test_the_plot_is_xml_with_a_bar_for_each_figure() -> None:
    root = ET.fromstring(plot.svg(tables.rows(runs()), 64))
    bars = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if rect.get("y")]
    legend = len(plot.COLOURS)
    assert len(bars) == len(plot.PLOTS) * len(CONTENDERS) * 2 + legend


def test_growth_is_shown_part_by_part_with_its_targets() -> None:
    queue = [
        run("ours", "everysec", 0, part="queue", name=name, per_s=per_s)
        for name, per_s in (("empty", 1000.0), ("full", 900.0))
    ]
    found = {
        **whole_report(queue),
        "memory": [{"messages": 1e6, "rss_mb": 61.5, "pss_mb": 40.0}],
        "targets": [{"what": "w", "wanted": "≥ 0.95", "found": 0.9, "met": False}],
    }
    text = growth_tables.markdown(found)
    assert "| full | 900 |" in text
    assert "| 1,000,000 | 61.5 | 40.0 |" in text
    assert "| w | ≥ 0.95 | 0.90 | no |" in text
    assert len(list(growth_tables.terminal_tables(found))) == 3


def test_a_part_of_the_document_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- growth -->\nold\n<!-- /growth -->\nafter\n"
    expected = "before\n<!-- growth -->\nnew\n<!-- /growth -->\nafter\n"
    assert publish.replaced(text, "growth", "new\n") == expected
    with pytest.raises(ValueError, match="no place"):
        publish.replaced(text, "comparison", "new")


def test_the_document_has_a_place_for_both_results() -> None:
    text = publish.DOCUMENT.read_text()
    for name in ("comparison", "growth"):
        assert "x" in publish.replaced(text, name, "x")


def test_contenders_take_turns() -> None:
    one, other = ours(), ours("/elsewhere")
    plan = Plan((one, other), 2, 1, (64,), ("always",), with_open_loop=False, log_level="info")
    assert [who for _, _, who in plan.turns()] == [one, other, one, other]


def test_every_message_is_another_one_and_otherwise_as_the_sample() -> None:
    templates = messages.sample_templates()
    bodies = [messages.body(templates, number) for number in range(100)]
    assert len(set(bodies)) == 100
    sample = json.loads((messages.SAMPLE_DIR / "upgrade-finished.json").read_text())
    sent = json.loads(messages.body(templates, 3))
    assert sent["upgradeFinished"].pop("upgradeId") == "60b5d639-ccdc-4db8-8824-000000000003"
    assert sent["upgradeFinished"].items() <= sample["upgradeFinished"].items()


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
def test_a_message_can_have_a_size(size: int) -> None:
    body = messages.body(messages.sized_templates(size), 1)
    assert size * 0.8 < len(body) <= size
    assert json.loads(body)["type"] == "upgradeScheduled"


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_nothing_that_is_deployed_imports_a_benchmark() -> None:
    files = [
        path
        for name in ("listener", "registrar", "sandbox", "testbed")
        for path in (ROOT / name).rglob("*.py")
    ]
    assert files
    for path in files:
        assert not [name for name in imports(path) if name.partition(".")[0] == "bench"], path
