"""What `check` and the page make of the registrar's last look."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from listener.diagnostics.check_registration import finding
from listener.registration_state import Observation

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OURS = {
    "registered_url": "https://fota.example/cb",
    "ours": True,
    "result": "as-desired",
    "reason": "as-desired",
    "detail": "",
    "contender": None,
    "token_age_s": 12.5,
    "interval_s": 60,
}


def observation(key: str, text: str) -> Observation:
    return Observation.from_json(key, text) or Observation.unreadable(key)


def looked(ago_s: float, **changes: Any) -> str:
    tick = (NOW - timedelta(seconds=ago_s)).isoformat()
    return json.dumps({**OURS, "tick": tick, **changes})


@pytest.mark.parametrize(
    ("ago_s", "changes", "level"),
    [
        (60, {}, "ok"),
        (599, {}, "ok"),
        (601, {}, "warning"),
        (601, {"interval_s": 600}, "ok"),
        (3001, {"interval_s": 600}, "warning"),
        # Of a registrar of the version before, which looked every five minutes.
        (1499, {"interval_s": None}, "ok"),
        (1501, {"interval_s": None}, "warning"),
        (1501, {"interval_s": "often"}, "warning"),
    ],
)
def test_a_registration_that_nobody_looked_at_lately_is_warned_of(
    ago_s: float, changes: dict[str, Any], level: str
) -> None:
    seen = observation("0242078689-00001/v1", looked(ago_s, **changes))
    found = finding(seen, NOW)
    assert found.level == level
    assert ("does the registrar still run?" in found.text) == (level == "warning")


def test_a_url_that_was_taken_over_from_somebody_is_a_warning_with_both_urls() -> None:
    other = "https://other.example/cb"
    seen = observation("a/v1", looked(60, result="registered", reason="takeover", contender=other))
    found = finding(seen, NOW)
    assert found.level == "warning"
    assert other in found.text
    assert str(OURS["registered_url"]) in found.text


def test_a_registration_of_an_older_version_without_the_new_fields_is_read() -> None:
    older = {k: v for k, v in OURS.items() if k not in ("contender", "interval_s")}
    seen = observation("a/v1", json.dumps({**older, "tick": NOW.isoformat()}))
    assert (seen.ours, seen.contender, seen.interval_s) == (True, None, None)
