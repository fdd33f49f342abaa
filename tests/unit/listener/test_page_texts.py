"""What the pages write: times, commands, titles, addresses, groups of failures, and how far a search looked."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.inspection.dead_letters import DeadLetter
from listener.inspection.search.backward_search import SearchResult
from listener.inspection.search.conditions import Position
from listener.inspection.search.walk import Walk
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.failures.failure_groups import by_error
from listener.ops.status_page.formats import ago, at, command, commands, day
from listener.ops.status_page.links import device_link, link, upgrade_link
from listener.ops.status_page.message_content import MessageContent
from listener.ops.status_page.search.how_far import how_far
from listener.ops.status_page.search.rows import message_rows, only_one
from listener.ops.status_page.search.search_request import read_search
from listener.ops.status_page.search.upgrade_sums import UpgradeSums
from listener.queue.keys import Partition, every_partition

NOW = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
DEVICE = "990013907835573"


def entry(
    number: int, container: Any, *, kind: str = "upgrade-finished", **fields: str
) -> StreamEntry:
    type_ = {"upgrade-finished": "upgradeFinished", "upgrade-scheduled": "upgradeScheduled"}[kind]
    data = json.dumps({"type": type_, type_: container})
    return StreamEntry(f"{number}-0", {"kind": kind, "subject": "u", **fields, "data": data})


@pytest.mark.parametrize(
    ("moment", "age", "absolute"),
    [
        (NOW - timedelta(seconds=90), "1 min ago", "2026-11-29 08:58:30"),
        ("2026-11-29T10:00:00+02:00", "1 h ago", "2026-11-29 08:00:00"),
        (NOW + timedelta(hours=1), "0 s ago", "2026-11-29 10:00:00"),
    ],
)
def test_time_has_its_other_form_under_the_pointer(moment: Any, age: str, absolute: str) -> None:
    assert (ago(moment, NOW).text, ago(moment, NOW).title) == (age, f"{absolute} UTC")
    assert (at(moment, NOW).text, at(moment, NOW).title) == (absolute, age)
    assert ago(moment, NOW).iso == at(moment, NOW).iso != ""


@pytest.mark.parametrize(
    "moment", ["", None, "soon", "2026-11-29T10:00:00", "0001-01-01T00:00:00+23:59"]
)
def test_what_is_no_time_stands_as_it_is(moment: Any) -> None:
    assert ago(moment, NOW).text == at(moment, NOW).text == (moment or "unknown")
    assert ago(moment, NOW).iso == ""


def test_day_names_another_year_alone() -> None:
    assert day(datetime(2026, 11, 12, 8, 1, tzinfo=UTC), NOW) == "12 Nov 08:01 UTC"
    assert day(datetime(2025, 1, 2, 3, 4, tzinfo=UTC), NOW) == "2 Jan 2025 03:04 UTC"
    assert day(None, NOW) == "an unknown time"


@given(st.text())
def test_command_is_what_a_shell_takes_or_is_missing(word: str) -> None:
    line = command("dead", "list", "--group", word)
    if word.isascii() and word.isprintable():
        assert line
    if line:
        assert shlex.split(line) == ["python", "-m", "listener", "dead", "list", "--group", word]
        assert line.isprintable()


def test_command_of_many_words_is_missing() -> None:
    assert commands(("dead", *["1795397513221-0"] * 1000), ("check",)) == [
        "python -m listener check"
    ]


@given(st.text(max_size=50))
def test_address_of_an_id_is_one_segment_or_a_parameter(identifier: str) -> None:
    for address, folder in (
        (device_link(identifier), "/devices"),
        (upgrade_link(identifier), "/upgrades"),
    ):
        if not identifier:
            assert address == ""
            continue
        assert address.startswith((f"{folder}/", f"{folder}?id="))
        assert address.isascii()
        assert address.isprintable()
        assert address.count("/") <= 2
        assert " " not in address


def test_link_leaves_out_what_is_empty() -> None:
    assert link("/messages", device="", kind="unknown", before="") == "/messages?kind=unknown"
    assert link("/messages") == "/messages"


@pytest.mark.parametrize(
    ("container", "title"),
    [
        ({"deviceId": DEVICE, "status": "UpgradeSuccess"}, f"upgrade-finished, device {DEVICE}, UpgradeSuccess"),
        ({"deviceId": DEVICE}, f"upgrade-finished, device {DEVICE}"),
        ({"status": "x" * 99}, f"upgrade-finished, {'x' * 39}…"),
        ({"deviceId": 1, "status": []}, "upgrade-finished"),
        ({"deviceList": [{"deviceId": DEVICE}, {"deviceId": DEVICE}]}, f"upgrade-finished, device {DEVICE}"),
        ({"deviceList": [{"deviceId": "1"}, {"deviceId": "2"}, 3]}, "upgrade-finished, 2 devices"),
        ([], "upgrade-finished"),
    ],
)  # fmt: skip
def test_title_has_kind_device_and_outcome(container: Any, title: str) -> None:
    assert MessageContent.read(entry(1, container)).title == title


def test_cut_message_is_not_parsed() -> None:
    cut = StreamEntry(
        "1-0", {"kind": "upgrade-finished", "data": '{"type'}, cut={"data": 4_000_000}
    )
    content = MessageContent.read(cut)
    assert (content.title, content.devices) == ("upgrade-finished", [])
    assert content.summary() == "too large to be read here: 4,000,000 bytes"


@pytest.mark.parametrize(
    "data", ["null", "[]", '"x"', "{", "1", '{"type": []}', "[" * 100_000, '{"upgradeFinished": 1}']
)
def test_message_of_any_form_has_a_row(data: str) -> None:
    [row] = message_rows([StreamEntry("1-0", {"kind": "upgrade-finished", "data": data})])
    assert (row.device, row.link) == ("", "/messages/0/1-0")


def test_long_messages_let_the_process_do_what_else_there_is() -> None:
    pauses: list[None] = []
    long = {"deviceId": DEVICE, "filler": "x" * 20_000}
    rows = message_rows(
        [entry(1, long), entry(2, {"deviceId": DEVICE}), entry(3, long)],
        pause=lambda: pauses.append(None),
    )
    assert [row.device for row in rows] == [DEVICE] * 3
    assert len(pauses) == 2


def test_what_all_rows_share_is_said_once() -> None:
    assert only_one(["a", "a"]) == "a"
    assert only_one(["a", "b"]) == only_one([]) == ""


def far(
    read: int,
    stopped_at: str,
    before: str = "",
    total: int = 1_000_000,
    *,
    found: int = 0,
    oldest: str = "-",
) -> Any:
    position = Position.read(stopped_at) if stopped_at else None
    result = SearchResult([entry(1, {})] * found, read, position)
    return how_far(
        result, before=Position.read(before) if before else None, total=total, now=NOW,
        link=lambda text: f"?before={text}", matches=50, oldest=oldest,
    )  # fmt: skip


NOVEMBER_12 = f"{int(datetime(2026, 11, 12, 8, 1, tzinfo=UTC).timestamp() * 1000)}-0-0"


NOVEMBER_11 = f"{int(datetime(2026, 11, 11, 8, 1, tzinfo=UTC).timestamp() * 1000)}-0"


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        (far(0, "", oldest=NOVEMBER_11), "There is no message since 11 Nov 08:01 UTC."),
        (far(0, "", oldest=NOVEMBER_11, total=0), "There is no message in the queue yet."),
        (far(7, "", oldest=NOVEMBER_11), "Looked at all 7 messages since 11 Nov 08:01 UTC."),
        (far(7, "", oldest=NOVEMBER_11, total=7), "Looked at all 7 messages since 11 Nov 08:01 UTC."),
        (far(1, "", oldest=NOVEMBER_11), "Looked at the only message since 11 Nov 08:01 UTC."),
        (far(0, "", NOVEMBER_12, oldest=NOVEMBER_11),
         "There is no message between 11 Nov 08:01 UTC and 12 Nov 08:01 UTC."),
        (far(7, "", NOVEMBER_12, oldest=NOVEMBER_11),
         "Looked at all 7 messages between 11 Nov 08:01 UTC and 12 Nov 08:01 UTC."),
        (far(0, "", oldest="18446744073709551615-0"), "There is no message since an unknown time."),
    ],
)  # fmt: skip
def test_search_with_a_beginning_says_that_it_looked_no_further(
    described: Any, sentence: str
) -> None:
    assert (described.sentence, described.go_on) == (sentence, "")


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        (far(200_000, NOVEMBER_12), "Looked at the newest 200,000 of 1,000,000 messages, back to 12 Nov 08:01 UTC."),
        (far(200, NOVEMBER_12, NOVEMBER_12), "Looked at 200 messages from 12 Nov 08:01 UTC back to 12 Nov 08:01 UTC."),
        (far(5, "", total=5), "Looked at all 5 messages: this is all there is."),
        (far(1, "", total=1), "Looked at the only message: this is all there is."),
        (far(7, "", NOVEMBER_12), "Looked at all 7 messages older than 12 Nov 08:01 UTC: this is all there is."),
        (far(0, "", NOVEMBER_12), "There is no message older than 12 Nov 08:01 UTC."),
        (far(0, "", total=0), "There is no message in the queue yet."),
        (far(9, "18446744073709551615-0-0"), "Looked at the newest 9 of 1,000,000 messages, back to an unknown time."),
    ],
)  # fmt: skip
def test_search_says_how_far_it_looked(described: Any, sentence: str) -> None:
    assert described.sentence == sentence
    assert bool(described.go_on) == ("all there" not in sentence and "no message" not in sentence)


def test_search_that_found_enough_is_told_from_one_that_ran_out_of_time() -> None:
    assert far(200, NOVEMBER_12, found=50).is_full
    assert not far(200, NOVEMBER_12, found=49).is_full


def test_address_of_a_search_keeps_its_filters() -> None:
    asked = read_search({"device": f" IMEI {DEVICE} ", "from": "7d", "other": "x"}, NOW)
    assert asked.link("1-0-0") == f"/messages?device=IMEI+{DEVICE}&from=7d&before=1-0-0"
    assert asked.is_narrow
    assert not read_search({"from": "7d"}, NOW).is_narrow


def test_search_begins_at_the_earlier_of_its_end_and_its_position() -> None:
    to = read_search({"to": "1000-5"}, NOW).before
    assert to is not None
    assert (to.time_ms, to.number) == (1000, 5)
    earlier = read_search({"to": "1000-5", "before": "900-0-0"}, NOW).before
    later = read_search({"to": "1000-5", "before": "1100-0-0"}, NOW).before
    assert earlier == Position(900, 0, 0)
    assert later == to


def letter(
    number: int, error: str, group: str = "billing", reason: str = "handler-failed"
) -> DeadLetter:
    fields = {"error": error, "reason": reason}
    return DeadLetter(Partition("fota", 0), group, StreamEntry(f"{number}-0", fields))


def test_dead_letters_are_grouped_by_error_but_for_what_varies() -> None:
    letters = [
        letter(9, "device 990013907835573: KeyError: 'T-17'"),
        letter(8, "timeout"),
        letter(7, "device 351756051523999: KeyError: 'T-18'"),
        letter(6, "device 990013907835573: KeyError: 'T-17'", reason="rejected"),
        letter(5, "device 1: KeyError: 'T-1'", group="other"),
    ]
    groups = by_error(letters)
    assert [len(group.letters) for group in groups] == [2, 1, 1, 1]
    assert groups[0].error == "device 990013907835573: KeyError: 'T-17'"
    assert [each.entry_id for each in groups[0].letters] == ["9-0", "7-0"]


def test_upgrades_are_summed_up_to_a_number_of_them() -> None:
    sums = UpgradeSums(2)
    sums.add(entry(9 - number, {}, subject=subject) for number, subject in enumerate("aab"))
    sums.add(entry(5 - number, {}, subject=subject) for number, subject in enumerate("cadc"))
    assert [(each.upgrade, each.counts) for each in sums.upgrades] == [
        ("a", {"upgrade-finished": 3}),
        ("b", {"upgrade-finished": 1}),
    ]
    assert (sums.others, sums.upgrades[0].last.entry_id) == (2, "9-0")


def test_walk_settles_only_what_no_other_partition_can_precede() -> None:
    walk = Walk(every_partition("fota", 2), None)
    first, second = walk.next_partition(), None
    assert first
    walk.went(first, 2, 10, "7-0", [StreamEntry("9-0", {}, first.number)])
    assert walk.settled() == []
    second = walk.next_partition()
    assert second
    assert second is not first
    walk.went(second, 1, 10, "8-0", [StreamEntry("8-0", {}, second.number)])
    assert [each.entry_id for each in walk.settled()] == ["9-0", "8-0"]
    assert walk.floor == Position(8, 0, second.number)
    walk.went(second, 0, 0, "", [])
    walk.went(first, 0, 0, "", [])
    assert walk.next_partition() is None
    assert (walk.read, walk.bytes) == (3, 20)
