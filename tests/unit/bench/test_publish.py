"""Results are published in docs/benchmarks.md, between marks, and beside the benchmarks."""

from pathlib import Path

import pytest

from bench.report import publish
from tests.support.bench_results import result, run, runs, whole_run


def test_part_of_the_document_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- growth -->\nold\n<!-- /growth -->\nafter\n"
    expected = "before\n<!-- growth -->\nnew\n<!-- /growth -->\nafter\n"
    assert publish.replaced(text, "growth", "new\n") == expected
    with pytest.raises(ValueError, match="no place"):
        publish.replaced(text, "comparison", "new")


def test_whole_run_is_published_in_the_document_and_its_tables_beside_the_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = publish.DOCUMENT.read_text()
    document, plot, raw = tmp_path / "benchmarks.md", tmp_path / "benchmarks.svg", tmp_path / "raw"
    document.write_text(before)
    monkeypatch.setattr(publish, "DOCUMENT", document)
    monkeypatch.setattr(publish, "PLOT", plot)
    monkeypatch.setattr(publish, "RAW", raw)
    comparison = [run("ours", "always", 0, per_s=123456.0), *runs()]
    growth = [run("ours", "everysec", 0, part="queue", name="empty", per_s=234567.0)]
    publish.publish_all({**result(comparison), **whole_run(comparison, growth)})
    after = document.read_text()
    head, _, results = after.partition("<!-- results -->")
    assert "| messages/s over FastAPI's, 64 connections, always | ≥ 1.5 |" in results
    assert (
        "| bytes of Redis for each of 10,000 messages upgrade-finished | ≤ 740 | 741 | no |"
        in results
    )
    # The text around the results stays.
    assert head == before.split("<!-- results -->")[0]
    assert after.split("<!-- /results -->")[1] == before.split("<!-- /results -->")[1]
    assert plot.read_text().startswith("<svg")
    tables = (raw / "all.md").read_text()
    assert "fastapi" in tables
    assert "| empty | 234,567 |" in tables


def test_growth_is_published_beside_the_benchmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "RAW", tmp_path)
    growth = [run("ours", "everysec", 0, part="cluster", name="100", per_s=2345.0)]
    publish.publish_growth({**result(growth), "memory": []})
    assert "| 100 | 2,345 |" in (tmp_path / "growth.md").read_text()
