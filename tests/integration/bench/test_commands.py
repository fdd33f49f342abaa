"""Each command of bench/run measures for a moment, on real processes: that it works, not how fast."""

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from bench import consumer, replay, searches, slow_connections, token_timing
from bench.cli import main
from testbed.programs import find_program

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).parents[3] / "bench" / "report" / "schema.json"


def output_of(*words: str) -> str:
    result = CliRunner().invoke(main, words, prog_name="bench/run", catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_comparison_writes_a_result_that_its_schema_describes(tmp_path: Path) -> None:
    find_program("wrk")
    target = tmp_path / "comparison.json"
    limits = ("--connections", "4", "--fsync", "everysec", "--seconds", "1", "--rounds", "1")
    output = output_of(
        "compare", "--contenders", "ours", *limits, "--no-rate", "--json", str(target)
    )
    result = json.loads(target.read_text())
    jsonschema.validate(result, json.loads(SCHEMA.read_text()))
    [run] = result["runs"]
    assert run["messages"] <= run["entries"] <= run["messages"] + 4
    assert "MB of a worker" in output


def test_growth_measures_the_service_with_redis_and_without(tmp_path: Path) -> None:
    find_program("wrk")
    target = tmp_path / "growth.json"
    output_of("growth", "--only", "spool", "--seconds", "1", "--rounds", "1", "--json", str(target))
    with_redis, without = json.loads(target.read_text())["runs"]
    assert (with_redis["name"], without["name"]) == ("Redis", "spool")
    assert without["messages"] > 0


def test_consumer_command_finds_every_message_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # Speed and memory are nothing to judge by on a machine that runs other tests.
    monkeypatch.setattr(consumer, "MIN_PER_S", 1)
    monkeypatch.setattr(consumer, "MAX_MEMORY_GROWTH", 10)
    output = output_of("consumer", "--messages", "3000")
    assert "3000 handled" in output
    assert "pending: 0, unread: 0" in output


def test_replay_command_gets_every_message_again_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    # Times are nothing to judge by on a machine that runs other tests.
    monkeypatch.setattr(replay, "MAX_COMMAND_S", 60)
    monkeypatch.setattr(replay, "MIN_RATIO", 0)
    words = ("--entries", "1000", "--groups", "2", "--messages", "300", "--rounds", "1")
    output = output_of("replay", *words)
    assert output.count("300 handled") == 2
    assert "long over short" in output


def test_searches_command_finds_each_device_and_sends_messages_beside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searches, "FIRST_ANSWERS", 1)
    monkeypatch.setattr(searches, "SETTLE_S", 0.1)
    # Times are nothing to judge by on a machine that runs other tests.
    monkeypatch.setattr(searches, "MAX_RATIO", 1000)
    words = ("--entries", "300", "--rounds", "1", "--seconds", "1", "--rate", "20")
    output = output_of("searches", *words)
    assert "device old: first answer in" in output
    assert "beside searches: 20 messages, all answered 200" in output


def test_slow_connections_do_not_keep_messages_from_being_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slow_connections, "BASELINE_S", 1)
    output = output_of("slow-connections", "--connections", "20", "--seconds", "2", "--rate", "20")
    assert "alone: 20 messages, all answered 200" in output
    assert "beside 20 slow ones: 40 messages, all answered 200" in output


def test_token_timing_command_reports_a_trend_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_timing, "WARM_UP", 10)
    output = output_of("token-timing", "--requests", "100")
    assert "132 requests" in output, "whole rounds of 33"
    assert "trend" in output
