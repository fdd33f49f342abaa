"""Results are published between the marks of docs/benchmarks.md."""

from pathlib import Path

import pytest

from bench.report import publish
from tests.support.bench_results import result, run, runs


def test_part_of_the_document_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- growth -->\nold\n<!-- /growth -->\nafter\n"
    expected = "before\n<!-- growth -->\nnew\n<!-- /growth -->\nafter\n"
    assert publish.replaced(text, "growth", "new\n") == expected
    with pytest.raises(ValueError, match="no place"):
        publish.replaced(text, "comparison", "new")


def test_both_results_are_published_in_a_copy_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = publish.DOCUMENT.read_text()
    document, plot = tmp_path / "benchmarks.md", tmp_path / "benchmarks.svg"
    document.write_text(before)
    monkeypatch.setattr(publish, "DOCUMENT", document)
    monkeypatch.setattr(publish, "PLOT", plot)
    publish.publish_comparison(result([run("ours", "always", 0, per_s=123456.0), *runs()]))
    growth = [run("ours", "everysec", 0, part="queue", name="empty", per_s=234567.0)]
    publish.publish_growth({**result(growth), "memory": []})
    after = document.read_text()
    comparison, growth_part = after.split("<!-- growth -->")
    assert "fastapi" in comparison.split("<!-- comparison -->")[1]
    assert "| empty | 234,567 |" in growth_part.split("<!-- /growth -->")[0]
    # The text around the two parts stays.
    assert after.split("<!-- comparison -->")[0] == before.split("<!-- comparison -->")[0]
    assert after.split("<!-- /growth -->")[1] == before.split("<!-- /growth -->")[1]
    assert plot.read_text().startswith("<svg")
