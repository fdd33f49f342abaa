"""The message that is made of a report: the same content each time, and no telephone number anywhere in it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from listener.messages.message import Message, fingerprint
from listener.recovered.message_content import content_of, message_of
from listener.recovered.recovery_state import RECOVERABLE_KINDS, Report

NOW = datetime(2026, 11, 29, tzinfo=UTC)
REPORT = Report(
    account="0242078689-00001",
    version="v1",
    upgrade_id="u-1",
    status="Finished",
    call="GET /fota/v1/upgrades/{account}/upgrade/{id}",
    content={"id": "u-1", "status": "Finished", "startDate": "2018-04-01"},
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text()
NAMES = st.text() | st.sampled_from(["mdn", "MDN", " Mdn", "deviceId"])
VALUES = st.recursive(LEAVES, lambda it: st.lists(it) | st.dictionaries(NAMES, it), max_leaves=20)


def made(
    report: Report = REPORT, kind: str = "upgrade-finished", *, after: timedelta = timedelta()
) -> Message:
    return message_of(
        content_of(report, kind),
        arrived=NOW + after,
        request_id=f"sweep {after}",
    )


def test_same_report_in_a_later_sweep_is_the_same_message() -> None:
    first, second = made(), made(after=timedelta(days=3))
    assert (first.id, first.data) == (second.id, second.data)
    assert first.id == fingerprint(json.loads(first.data))


def test_fields_name_origin_and_basis_and_the_type_is_no_callbacks() -> None:
    fields = made().fields()
    assert fields["origin"] == "recovered"
    assert fields["basis"] == REPORT.call
    assert fields["type"] == "com.verizon.thingspace.fota.recovered.upgradeFinished"
    assert fields["source"] == "/thingspace/fota/0242078689-00001"
    assert "traceparent" not in fields


def test_message_of_the_provider_has_neither_origin_nor_basis() -> None:
    message = Message.from_payload({"origin": "recovered"}, arrived=NOW, request_id="r")
    assert not {"origin", "basis"} & set(message.fields())


def test_each_kind_that_one_report_proves_due_has_an_id_of_its_own() -> None:
    assert len({made(kind=kind).id for kind in RECOVERABLE_KINDS}) == len(RECOVERABLE_KINDS)


def test_devices_and_upgrades_have_messages_of_their_own() -> None:
    ids = {
        made(report).id
        for report in (
            REPORT,
            replace(REPORT, device_id="990013907835573"),
            replace(REPORT, account="0000000001-00001"),
            replace(REPORT, version="v2"),
            # The report of a device names no upgrade.
            replace(REPORT, upgrade_id="u-2"),
        )
    }
    assert len(ids) == 5


def named(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {*value, *(name for member in value.values() for name in named(member))}
    return {name for item in value for name in named(item)} if isinstance(value, list) else set()


@given(st.dictionaries(NAMES, VALUES))
def test_report_is_kept_as_it_came_but_for_telephone_numbers_at_any_depth(
    content: dict[str, Any],
) -> None:
    kept = content_of(replace(REPORT, content=content), "upgrade-finished")["report"]
    assert "mdn" not in {name.strip().lower() for name in named(kept)}
    if "mdn" not in {name.strip().lower() for name in named(content)}:
        assert kept == content
