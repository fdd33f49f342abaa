"""The stored observation: what is read of one that another version stored, when it is stale, and what is not written."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from listener.registration_state import REQUIRED, Observation

KEY = "0242078689-00001/v1"
OBSERVED = Observation(
    account="0242078689-00001",
    version="v1",
    registered_url="https://fota.example/cb",
    ours=True,
    tick="2026-11-28T12:00:00.000Z",
    result="as-desired",
    reason="as-desired",
    detail="text",
    desired_url="https://fota.example/cb",
    since="2026-11-28T11:00:00.000Z",
    contender="https://other.example/cb",
    by="host-1",
    fence=3,
    token_age_s=12.5,
    interval_s=60,
)
OPTIONAL = [name for name in json.loads(OBSERVED.to_json()) if name not in REQUIRED]


def stored(**changed: Any) -> str:
    return json.dumps({**json.loads(OBSERVED.to_json()), **changed})


def without(name: str) -> str:
    content = json.loads(OBSERVED.to_json())
    del content[name]
    return json.dumps(content)


def test_observation_survives_its_store() -> None:
    assert Observation.from_json(KEY, OBSERVED.to_json()) == OBSERVED
    assert Observation.from_json(KEY, OBSERVED.to_json().encode()) == OBSERVED
    assert Observation.from_json(KEY, stored(token_age_s=12)) == replace(OBSERVED, token_age_s=12)


@pytest.mark.parametrize("value", [None, 7, {"a": [1]}, "text"])
def test_field_of_a_newer_version_is_ignored(value: Any) -> None:
    assert Observation.from_json(KEY, stored(of_a_newer_version=value)) == OBSERVED


def test_result_of_a_newer_version_is_read() -> None:
    read = Observation.from_json(KEY, stored(result="handed-over"))
    assert read == replace(OBSERVED, result="handed-over")
    assert not replace(OBSERVED, result="handed-over").healthy


@pytest.mark.parametrize("name", OPTIONAL)
def test_field_that_an_older_version_did_not_store_has_its_default(name: str) -> None:
    read = Observation.from_json(KEY, without(name))
    blank = Observation(OBSERVED.account, "v1", None, None, OBSERVED.tick, "", "")
    default = getattr(OBSERVED if name in ("account", "version") else blank, name)
    assert read == replace(OBSERVED, **{name: default})


@pytest.mark.parametrize("name", REQUIRED)
def test_observation_without_a_field_that_says_what_is_registered_is_not_read(name: str) -> None:
    assert Observation.from_json(KEY, without(name)) is None


WRONG: dict[str, list[Any]] = {
    "ours": ["true", 1, 0, []],
    "tick": [None, "yesterday", "2026-05-01T12:00:00", 7, "9999-12-31T23:59:59-14:00"],
    "registered_url": [7, ["https://x"], False],
    "result": [None, 1],
    "reason": [7],
}
AS_IF_MISSING: dict[str, list[Any]] = {
    "fence": [True, "3", 1.5, None],
    "since": [None, "", {}, "2026-05-01T12:00:00"],
    "token_age_s": ["7", True],
    "interval_s": ["often", False],
    "detail": [None],
    "contender": [7],
    "by": [[]],
    "account": [1],
}


def pairs(values: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, each in values.items() for value in each]


@pytest.mark.parametrize(("name", "value"), pairs(WRONG))
def test_observation_that_says_wrongly_what_is_registered_is_not_read(
    name: str, value: Any
) -> None:
    assert Observation.from_json(KEY, stored(**{name: value})) is None


@pytest.mark.parametrize(("name", "value"), pairs(AS_IF_MISSING))
def test_field_of_another_type_counts_as_missing(name: str, value: Any) -> None:
    read = Observation.from_json(KEY, stored(**{name: value}))
    assert read == Observation.from_json(KEY, without(name))
    assert read


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "{}", "[" * 100_000, b"\xff"])
def test_text_that_is_no_observation_is_not_read(text: str | bytes) -> None:
    assert Observation.from_json(KEY, text) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"result": "handed-over"},
        {"tick": "2026-05-01T12:00:00"},
        {"tick": ""},
        {"since": "yesterday"},
        {"ours": 1},
        {"detail": None},
        {"registered_url": b"https://x"},
        {"fence": "3"},
    ],
    ids=str,
)
def test_observation_that_a_reader_would_misread_is_not_written(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        replace(OBSERVED, **wrong).to_json()


@pytest.mark.parametrize(
    ("interval_s", "age_s", "stale"),
    [
        (60, 599, False),
        (60, 601, True),
        (600, 2999, False),
        (600, 3001, True),
        (None, 1499, False),
        (None, 1501, True),
    ],
)
def test_observation_is_stale_after_five_intervals_and_ten_minutes_at_the_least(
    interval_s: float | None, age_s: float, stale: bool
) -> None:
    now = datetime(2026, 11, 28, 12, tzinfo=UTC) + timedelta(seconds=age_s)
    assert replace(OBSERVED, interval_s=interval_s).is_stale(now) == stale


def test_unreadable_observation_has_no_time_and_is_not_stale() -> None:
    unreadable = Observation.unreadable(KEY)
    assert (unreadable.key, unreadable.observed_at, unreadable.ours) == (KEY, None, None)
    assert not unreadable.is_stale(datetime.now(UTC))
