"""What is read of an observation that another version of this program stored, and what is logged of one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from registrar.model import Slot
from registrar.observation import Observation
from registrar.reconcile.observation_log import tell

SEEN = replace(
    Observation.unknown(Slot("0242078689-00001", "v1"), "unreachable"), detail="refused", fence=3
)


def stored(**changed: Any) -> str:
    return json.dumps({**json.loads(SEEN.to_json()), **changed})


def test_observation_survives_its_store() -> None:
    assert Observation.from_json(SEEN.to_json()) == SEEN
    assert Observation.from_json(stored(token_age_s=12)) == replace(SEEN, token_age_s=12)


@pytest.mark.parametrize("value", [None, 7, {"a": [1]}, "text"])
def test_field_of_a_newer_version_is_ignored(value: Any) -> None:
    assert Observation.from_json(stored(of_a_newer_version=value)) == SEEN


VALUES: dict[str, list[Any]] = {
    "ours": ["true", 1, 0, []],
    "fence": [True, "3", 1.5, None],
    "tick": [None, "yesterday", "2026-05-01T12:00:00", 7],
    "since": [None, "", {}],
    "registered_url": [7, ["https://x"], False],
    "token_age_s": ["7", True],
    "result": [None],
    "reason": [7],
    "detail": [None],
    "account": [1],
    "by": [[]],
}
WRONG = [(field, value) for field, values in VALUES.items() for value in values]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_observation_with_a_field_of_another_type_is_not_read(field: str, value: Any) -> None:
    assert Observation.from_json(stored(**{field: value})) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "{}", "[" * 100_000, b"\xff"])
def test_what_is_no_observation_is_not_read(text: str | bytes) -> None:
    assert Observation.from_json(text) is None


def test_observation_of_an_older_version_without_the_interval_is_read() -> None:
    content = json.loads(SEEN.to_json())
    del content["interval_s"]
    assert Observation.from_json(json.dumps(content)) == replace(SEEN, interval_s=None)


@pytest.mark.parametrize(
    "name", [name for name in json.loads(SEEN.to_json()) if name != "interval_s"]
)
def test_observation_without_a_field_is_not_read(name: str) -> None:
    content = json.loads(SEEN.to_json())
    del content[name]
    assert Observation.from_json(json.dumps(content)) is None


def lines(*seen: Observation) -> int:
    with capture_logs() as logged:
        for before, after in zip((None, *seen), seen, strict=False):
            tell(after, before)
    return len(logged)


def test_cause_on_this_machine_is_logged_each_time_it_changes_and_only_then() -> None:
    first = replace(SEEN, reason="certificate-refused", detail="self-signed certificate")
    other = replace(first, detail="certificate has expired")
    assert lines(first, first, other, other, first) == 3


def test_words_of_the_provider_that_differ_every_time_are_no_news() -> None:
    said = [replace(SEEN, reason="provider-failed", detail=f"HTTP 500 {n}") for n in range(5)]
    assert lines(*said) == 1
