"""What operators write and read: times, lines, rows, findings."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from listener import entry_ids, times
from listener.cli.render import csv_rows
from listener.diagnostics import check_registration
from listener.inspection import streams
from listener.inspection.entry_text import data_of, event_json, event_text
from listener.inspection.stream_entry import StreamEntry
from listener.queue import keys
from listener.registration_state import Observation
from listener.text import clean, escape
from registrar.coordination.keys import Keys
from tests.support.cli import HOSTILE

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW_MS = 1795435200000


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("start", "0-0"),
        ("now", entry_ids.LAST),
        ("2026-11-23T12:00", f"{NOW_MS}-0"),
        ("2026-11-23T12:00:00Z", f"{NOW_MS}-0"),
        ("2026-11-23T13:00+01:00", f"{NOW_MS}-0"),
        ("2026-11-23 12:00:00.250", f"{NOW_MS + 250}-0"),
        ("2026-11-23", f"{NOW_MS - 12 * 3600 * 1000}-0"),
        ("90s", f"{NOW_MS - 90 * 1000}-0"),
        ("30m", f"{NOW_MS - 30 * 60 * 1000}-0"),
        ("2h", f"{NOW_MS - 2 * 3600 * 1000}-0"),
        ("7d", f"{NOW_MS - 7 * 24 * 3600 * 1000}-0"),
        ("1795397513221-7", "1795397513221-7"),
        ("1795397513221", "1795397513221-0"),
    ],
)
def test_a_beginning_can_be_said_in_many_ways(text: str, first: str) -> None:
    assert times.first_id(text, NOW) == first


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2x", "-2h", "1-2-3", f"{2**64}-0", "1960-01-01", "999999999d", "1-"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|before 1970"):
        times.first_id(text, NOW)


def test_an_end_includes_its_whole_millisecond_and_an_id_itself() -> None:
    assert times.last_id("2026-11-23T12:00", NOW) == f"{NOW_MS}-{entry_ids.MAX_PART}"
    assert times.last_id("5", NOW) == f"5-{entry_ids.MAX_PART}"
    assert times.last_id("5-3", NOW) == "5-3"
    assert times.last_id("now", NOW) == entry_ids.LAST


def test_ids_are_compared_by_number_and_have_a_predecessor() -> None:
    assert max(["10-2", "9-50", "10-11"], key=entry_ids.parse) == "10-11"
    assert entry_ids.predecessor("5-3") == "5-2"
    assert entry_ids.predecessor("5-0") == f"4-{entry_ids.MAX_PART}"
    assert entry_ids.predecessor("0-0") == "0-0"


def test_times_are_shown_short() -> None:
    assert times.format_entry_time(f"{NOW_MS}-3") == "2026-11-23 12:00:00Z"
    assert times.format_entry_time(f"{entry_ids.MAX_PART}-0") == f"{entry_ids.MAX_PART}-0"
    shown = [times.format_duration(seconds) for seconds in (0, 59.9, 60, 3599, 3600, 86400 * 3)]
    assert shown == ["0 s", "59 s", "1 min", "59 min", "1 h", "3 d"]


def test_time_in_a_field_is_shown_in_utc_with_its_zone() -> None:
    shown = [
        times.format_time_text(text)
        for text in ("2026-11-23T12:00:00.123456Z", "2026-11-23T13:00+01:00", "2026-11-23", "?", "")
    ]
    assert shown == ["2026-11-23 12:00:00Z"] * 2 + ["2026-11-23", "?", ""]
    assert times.format_time_text("9" * 100) == "9" * 20


def test_a_strangers_text_cannot_steer_a_terminal() -> None:
    entry = StreamEntry(
        "1-0", {"account": HOSTILE, "subject": HOSTILE, "data": json.dumps(HOSTILE)}
    )
    shown = [
        event_text(entry),
        event_json(entry),
        clean(HOSTILE),
        *csv_rows.cells(entry),
    ]
    assert all(text.isprintable() for text in shown)
    assert json.loads(event_json(entry))["account"] == HOSTILE, "and nothing is lost"


def test_line_of_an_unknown_kind_names_its_type() -> None:
    def line(type_: str, kind: str = "unknown") -> str:
        return event_text(StreamEntry("1-0", {"type": type_, "kind": kind, "account": "a"}))

    prefix = "com.verizon.thingspace.fota."
    assert line(f"{prefix}listenerTest").endswith("a  type listenerTest")
    assert line(f"{prefix}unknown").endswith("unknown             a")
    assert line(f"{prefix}upgradeFinished", "upgrade-finished").endswith("  a")
    assert len(line(prefix + "x" * 1000)) < 100


def test_line_of_a_recovered_message_says_so_and_shows_the_report() -> None:
    report = {"id": "u-1", "firmwareName": "F-2", "status": "Finished"}
    about = {"version": "v1", "call": "GET /fota/v1/…", "status": "Finished"}
    data = {"accountName": "a", "recovered": about, "report": report}
    fields = {"kind": "upgrade-finished", "origin": "recovered", "data": json.dumps(data)}
    assert event_text(StreamEntry("1-0", fields)).endswith("recovered, F-2, Finished")
    callback = {"type": "upgradeFinished", "upgradeFinished": {"status": "UpgradeSuccess"}, **data}
    line = event_text(StreamEntry("1-0", {**fields, "data": json.dumps(callback)}))
    assert line.endswith("  UpgradeSuccess")


def test_letters_of_all_languages_stay() -> None:
    assert clean("Zürich 東京") == escape("Zürich 東京") == "Zürich 東京"


def test_data_that_is_no_json_is_shown_as_it_is() -> None:
    assert json.loads(event_json(StreamEntry("1-0", {"data": "{"})))["data"] == "{"
    deep = "[" * 100_000
    assert data_of({"data": deep}) == deep


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_a_row_holds_no_formula_and_stays_one_line(formula: str) -> None:
    entry = StreamEntry("7-1", {"account": formula, "kind": "unknown", "data": '{"a":"x\\ny"}'}, 2)
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(csv_rows.cells(entry))
    assert file.getvalue().count("\n") == 1
    row = dict(zip(csv_rows.COLUMNS, next(csv.reader([file.getvalue()])), strict=True))
    assert row["account"].startswith("'")
    assert (row["entry"], row["partition"], row["subject"]) == ("7-1", "2", "")
    assert json.loads(row["data"]) == {"a": "x\ny"}


def test_a_rate_over_more_than_was_counted_says_over_which_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = streams._rate([9_000, 8_000], 10_000, 60, is_complete=True)
    assert (few.entries, few.seconds, few.per_minute) == (2, 60, 2)
    many = streams._rate([9_000, 8_500, 8_000, 7_000], 10_000, 60, is_complete=False)
    assert (many.entries, many.seconds, many.per_minute) == (4, 3, 80)


SEEN = {
    "tick": "2026-11-23T11:59:00.000Z",
    "ours": True,
    "registered_url": "https://fota.example.com/cb",
    "result": "as-desired",
    "reason": "",
}


@pytest.mark.parametrize(
    ("told", "level", "says"),
    [
        ({}, "ok", "ours, https://fota.example.com/cb, seen 1 min ago"),
        ({"ours": False, "result": "yielded"}, "error", "FOREIGN"),
        ({"ours": False, "registered_url": None, "result": "failed"}, "error", "absent"),
        (
            {"ours": False, "registered_url": None, "result": "deregistered"},
            "warning",
            "when it stopped",
        ),
        ({"ours": None, "result": "failed", "reason": "unreachable"}, "warning", "unreachable"),
        ({"tick": "2026-11-23T09:00:00.000Z"}, "warning", "does the registrar still run"),
        ({"reason": "flapping"}, "warning", "in turn"),
        ({"tick": "soon"}, "warning", "another version"),
    ],
)
def test_the_last_observation_is_judged(told: dict[str, object], level: str, says: str) -> None:
    text = json.dumps({**SEEN, **told})
    seen = Observation.from_json("a/v1", text) or Observation.unreadable("a/v1")
    found = check_registration.finding(seen, NOW)
    assert (found.level, says in found.text) == (level, True), found
    assert bool(found.advice) == (level != "ok")


def test_the_observations_are_read_where_the_registrar_writes_them() -> None:
    assert keys.observations("fota") == Keys("fota").observations


def test_an_age_is_never_negative() -> None:
    ahead = NOW - timedelta(hours=1)
    assert times.entry_age_s(f"{NOW_MS}-0", ahead) == 0
