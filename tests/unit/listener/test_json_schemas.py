"""The JSON Schemas accept exactly what the receiver accepts, and are those in docs/schemas."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from listener.cli.schema import schema
from listener.errors import RefusalError
from listener.messages import json_schemas
from listener.messages.kinds import KIND_NAMES, KINDS, KINDS_BY_TYPE
from listener.messages.members import Kind
from listener.messages.message import Message
from listener.messages.payload import without_credentials
from listener.recovered.message_content import content_of, message_of
from listener.recovered.recovery_state import RECOVERABLE_KINDS, Report

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
FILES = ROOT / "docs" / "schemas"
SAMPLES = sorted((ROOT / "listener" / "messages" / "samples").glob("*.json"))
OF_KIND = {name: Draft202012Validator(json_schemas.schema_of(name)) for name in KIND_NAMES}
OF_ENTRY = Draft202012Validator(json_schemas.schema_of(json_schemas.ENTRY))

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
groups = st.dictionaries(st.sampled_from(["upgradeId", "firmwareName", "x"]), values, max_size=2)
# What the check turns on, over and over; what is arbitrary comes with it.
containers: st.SearchStrategy[Any] = st.sampled_from(
    ["", [], {}, None, 0, False, [{}], [None], [[]], "x"]
) | (groups | st.lists(groups, max_size=2) | values)
types: st.SearchStrategy[Any] = (
    st.sampled_from([*KINDS_BY_TYPE, "", None, 0, [], "upgradeStarted", "firmwarelist"]) | values
)
# Without these only 3 of 100 draws would be kept as a kind that is known; with them, 18 are.
known = st.sampled_from(sorted(KINDS_BY_TYPE)).flatmap(
    lambda type_: st.fixed_dictionaries({"type": st.just(type_)}, optional={type_: containers})
)
payloads = (
    known
    | st.fixed_dictionaries(
        {},
        optional={
            "type": types,
            "accountName": values,
            "x.y": values,
            **dict.fromkeys(KINDS_BY_TYPE, containers),
        },
    )
    | st.dictionaries(st.text(), values)
)


def kind_by_receiver(payload: dict[str, Any]) -> str | None:
    """The kind that the receiver gives it; None if it refuses it."""
    try:
        return Message.from_payload(payload, arrived=NOW, request_id="r").kind
    except RefusalError:
        return None


def entry_of(message: Message) -> dict[str, str]:
    """The stream's entry as a client reads it that decodes texts."""
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in message.fields().items()
    }


@given(payloads)
def test_a_schema_accepts_exactly_what_the_receiver_takes_for_that_kind(
    payload: dict[str, Any],
) -> None:
    accepting = [kind for kind, judge in OF_KIND.items() if judge.is_valid(payload)]
    kind = kind_by_receiver(payload)
    assert accepting == ([kind] if kind else [])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", KINDS_BY_TYPE)
@pytest.mark.parametrize("value", ["", [], {}, None, 0, False, "x", [{}], [None], [[]], {"a": 1}])
def test_each_form_of_each_container_is_judged_alike(kind: Kind, name: str, value: Any) -> None:
    payload = {"type": kind.type, name: value}
    assert OF_KIND[kind.name].is_valid(payload) == (kind_by_receiver(payload) is not None)


@pytest.mark.parametrize("name", json_schemas.NAMES)
def test_the_schemas_are_well_formed_and_those_in_the_documentation(name: str) -> None:
    made = json_schemas.schema_of(name)
    Draft202012Validator.check_schema(made)
    written = (FILES / f"{name}.schema.json").read_text()
    assert written == json_schemas.as_text(made), "run: python -m listener schema --to docs/schemas"


def test_there_is_a_file_for_each_schema_and_no_other() -> None:
    assert {path.name for path in FILES.iterdir()} == {
        f"{name}.schema.json" for name in json_schemas.NAMES
    }


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_the_entry_of_a_sample_and_its_data_are_what_their_schemas_say(sample: Path) -> None:
    message = Message.from_payload(json.loads(sample.read_text()), arrived=NOW, request_id="r")
    entry = entry_of(message)
    OF_ENTRY.validate(entry)
    OF_KIND[message.kind].validate(json.loads(entry["data"]))
    for name in ("id", "kind", "data", "time"):
        assert not OF_ENTRY.is_valid({**entry, name: None})
        assert not OF_ENTRY.is_valid({k: v for k, v in entry.items() if k != name})


def recovered(kind: str, device_id: str | None = None, **content: Any) -> Message:
    call = "GET /fota/v2/campaigns/{account}/{id}"
    report = Report("0242078689-00001", "v2", "c-1", "CampaignEnded", call, content, device_id)
    return message_of(content_of(report, kind), arrived=NOW, request_id="sweep")


@pytest.mark.parametrize("kind", RECOVERABLE_KINDS)
@pytest.mark.parametrize("device_id", [None, "990013907835573"])
def test_recovered_message_is_an_entry_of_its_kind_by_the_schemas(
    kind: str, device_id: str | None
) -> None:
    entry = entry_of(recovered(kind, device_id, id="c-1", mdn="5551234567"))
    OF_ENTRY.validate(entry)
    data = json.loads(entry["data"])
    OF_KIND[kind].validate(data)
    for name in ("recovered", "report", "accountName"):
        assert not OF_KIND[kind].is_valid({k: v for k, v in data.items() if k != name})
        assert not OF_KIND[kind].is_valid({**data, name: 7})
    assert not OF_KIND[kind].is_valid({**data, "type": "upgradeStarted"})
    assert not OF_KIND["firmware-available"].is_valid(data)
    assert not OF_ENTRY.is_valid({**entry, "origin": "elsewhere"})


@given(payloads)
def test_what_the_receiver_makes_of_a_message_is_an_entry_by_the_schema(
    payload: dict[str, Any],
) -> None:
    try:
        message = Message.from_payload(payload, arrived=NOW, request_id="")
    except RefusalError:
        return
    entry = entry_of(message)
    OF_ENTRY.validate(entry)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_sample_of_a_kind_names_only_members_that_are_described(kind: Kind) -> None:
    sample = (ROOT / "listener" / "messages" / "samples" / f"{kind.name}.json").read_text()
    data = without_credentials(json.loads(sample))
    assert data["type"] == kind.type
    properties = json_schemas.schema_of(kind.name)["properties"]
    assert set(data) <= set(properties)
    shape = properties[kind.type]["anyOf"][0]
    described = shape.get("items", shape)["properties"]
    for item in data[kind.type] if kind.items else [data[kind.type]]:
        assert set(item) <= set(described)


def run(*words: str) -> Result:
    return CliRunner().invoke(schema, words)


def test_the_command_prints_one_schema_or_all_and_lists_their_names() -> None:
    assert run("entry").output == (FILES / "entry.schema.json").read_text()
    assert list(json.loads(run().output)) == list(json_schemas.NAMES)
    assert run("--list").output.split() == list(json_schemas.NAMES)


def test_the_command_writes_the_files_of_the_documentation(tmp_path: Path) -> None:
    assert run("--to", str(tmp_path / "new")).exit_code == 0
    for path in FILES.iterdir():
        assert (tmp_path / "new" / path.name).read_text() == path.read_text()


def test_a_mistake_at_the_command_is_told_without_a_traceback(tmp_path: Path) -> None:
    assert (result := run("upgradeFinished")).exit_code == 2
    assert "upgrade-finished" in result.output
    (tmp_path / "file").touch()
    assert run("--to", str(tmp_path / "file")).exit_code == 2
    assert (result := run("--to", str(tmp_path / "file" / "below"))).exit_code == 1
    assert result.output.startswith("Error: ")
