"""`bench/run` without a command: it goes on where it stopped, and fails if a target is missed."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from bench import compare, worker_memory
from bench.cli import main
from bench.rig import contender, host
from tests.support.bench_results import result, run

SCHEMA = Path(__file__).parents[3] / "bench" / "report" / "schema.json"
Steps = list[worker_memory.Step]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The machine that a run finds; no contender is installed."""
    facts: dict[str, Any] = result([run("ours", "always", 0)])["machine"]
    monkeypatch.setattr(host, "facts", lambda: facts)
    monkeypatch.setattr("bench.commands.compare.find_contenders", lambda _: ())
    return facts


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the measurements of a worker's memory that were made; each finds 60 MB."""
    every: list[int] = []

    def measure(messages: int, _: Any) -> Steps:
        every.append(messages)
        return [{"messages": 1.0, "rss_mb": 60.0, "pss_mb": 40.0}] * 3

    monkeypatch.setattr(worker_memory, "measure", measure)
    return every


def bench(target: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--json", str(target)])


def test_verdict_stands_in_the_output_and_in_the_file(tmp_path: Path, measured: list[int]) -> None:
    target = tmp_path / "all.json"
    ran = bench(target, "--only", "worker", "--messages", "30")
    assert ran.exit_code == 0, ran.output
    assert "MB of a worker, greatest" in ran.output
    assert measured == [30]
    written = json.loads(target.read_text())
    jsonschema.validate(written, json.loads(SCHEMA.read_text()))
    assert [each["met"] for each in written["targets"]] == [True, True]


def test_missed_target_fails_the_run_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Steps = [{"messages": 1.0, "rss_mb": mb, "pss_mb": 40.0} for mb in (81.0, 81.0)]
    monkeypatch.setattr(worker_memory, "measure", lambda *_: steps)
    ran = bench(tmp_path / "all.json", "--only", "worker")
    assert ran.exit_code == 1
    assert "missed: MB of a worker, greatest" in ran.output


def test_continued_run_measures_only_what_is_missing(tmp_path: Path, measured: list[int]) -> None:
    target = tmp_path / "all.json"
    bench(target, "--only", "worker")
    ran = bench(target, "--only", "worker", "--continue")
    assert ran.exit_code == 0, ran.output
    assert len(measured) == 1
    assert "MB of a worker, greatest" in ran.output


@pytest.mark.usefixtures("measured")
def test_run_of_another_version_or_with_other_options_is_not_continued(
    tmp_path: Path, machine: dict[str, Any]
) -> None:
    target = tmp_path / "all.json"
    assert "nothing to continue" in bench(target, "--continue").output
    bench(target, "--only", "worker")
    other = bench(target, "--only", "worker", "--continue", "--rounds", "2")
    assert (other.exit_code, "other options" in other.output) == (1, True)
    machine["commit"] = "def"
    other = bench(target, "--only", "worker", "--continue")
    assert (other.exit_code, "of commit abc" in other.output) == (1, True)


def test_continued_comparison_takes_only_the_turns_that_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = contender.ours()
    plan = compare.Plan((ours,), 2, 1, (16, 64), ("always",), 0, 1, "info")
    runs = [run("ours", "always", 0, connections=16), run("ours", "always", 0, connections=64)]
    runs.append(run("ours", "always", 1, connections=16))
    comparison = compare.Comparison(plan, lambda _: None, runs)
    turns: list[Any] = []
    monkeypatch.setattr(comparison, "_run_closed_loop", lambda *turn: turns.append(turn))
    comparison.run_closed_loops()
    assert turns == [(1, "always", ours, [64])]
