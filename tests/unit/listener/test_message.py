"""From bytes to a message: what is read, what is refused, what the event says, what stays out."""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.errors import RefusalError
from listener.messages import schemas, shape
from listener.messages.kinds import KINDS, KINDS_BY_NAME, KINDS_BY_TYPE, UNKNOWN
from listener.messages.message import Message, check_account
from listener.messages.payload import parse, serialize, without_credentials
from listener.settings.settings import Settings
from listener.times import timestamp

SAMPLES = Path(__file__).parents[3] / "listener" / "messages" / "samples"
ARRIVED = datetime(2026, 11, 23, 8, 5, 1, 7, tzinfo=UTC)


def sample(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_bytes())
    return content


def validated(payload: dict[str, Any]) -> Message:
    return Message.from_payload(payload, arrived=ARRIVED, request_id="r-1")


def refused(body: bytes) -> str:
    with pytest.raises(RefusalError) as caught:
        Message.from_payload(parse(body), arrived=ARRIVED, request_id="r-1")
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "kind", "type_", "subject"),
    [
        ("firmware-available", "firmware-available", "firmwareList", None),
        ("upgrade-scheduled", "upgrade-scheduled", "upgradeScheduled", "60b5d639"),
        ("upgrade-started", "upgrade-started", "upgradeProgress", "60b5d639"),
        ("upgrade-finished", "upgrade-finished", "upgradeFinished", "60b5d639"),
        ("unrecognised-v2", "unknown", "unknown", None),
    ],
)
def test_each_sample_becomes_an_event_of_its_kind(
    name: str, kind: str, type_: str, subject: str | None
) -> None:
    payload = sample(name)
    fields = validated(payload).fields()
    assert fields["specversion"] == "1.0"
    assert fields["source"] == f"/thingspace/fota/{payload['accountName']}"
    assert fields["type"] == f"com.verizon.thingspace.fota.{type_}"
    assert fields["subject"].startswith(subject) if subject else "subject" not in fields  # type: ignore[arg-type]
    assert fields["time"] == "2026-11-23T08:05:01.000007Z"
    assert fields["datacontenttype"] == "application/json"
    assert (fields["kind"], fields["requestid"]) == (kind, "r-1")
    assert fields["account"] == payload["accountName"]
    data = json.loads(fields["data"])
    assert data == {k: v for k, v in payload.items() if k not in ("username", "password")}


def test_the_id_is_the_digest_of_the_canonical_json_without_credentials() -> None:
    content = {"type": "new", "accountName": "ä", "n": [1, 2.5, {"b": 1, "a": 2}]}
    canonical = '{"accountName":"ä","n":[1,2.5,{"a":2,"b":1}],"type":"new"}'
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:32]
    assert validated({**content, "username": "u", "password": "p"}).id == expected


@pytest.mark.parametrize(
    ("name", "id_"),
    [
        ("firmware-available", "7e71d2bd5667c473e928106a4eeefde3"),
        ("unrecognised-v2", "ab0e6d462e9faa91abddc0ce6beb2197"),
        ("upgrade-finished", "6a7210cedf9c7f4cd840f9c8d1bdc5f8"),
        ("upgrade-scheduled", "2dec9dc0ceb2a8fe35a6b4da953460b6"),
        ("upgrade-started", "31f14885bda48f2b3f120191f774672a"),
    ],
)
def test_ids_of_the_samples_never_change(name: str, id_: str) -> None:
    counted = {"maxCallbackThreshold": 4, **sample(name), "callbackCount": 3}
    assert (validated(sample(name)).id, validated(counted).id) == (id_, id_)


COUNTS: list[Any] = [1, 2, "2", 1.5, None, [], {"a": 1}, 10**30]


@given(st.sampled_from(COUNTS), st.sampled_from(COUNTS))
def test_attempt_counters_are_kept_and_do_not_change_the_id(count: Any, most: Any) -> None:
    content = {**sample("upgrade-started"), "callbackCount": count, "maxCallbackThreshold": most}
    message = validated(content)
    assert message.id == validated(sample("upgrade-started")).id
    kept = json.loads(message.data)
    assert (kept["callbackCount"], kept["maxCallbackThreshold"]) == (count, most)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "callbackcount",
            "CALLBACKCOUNT",
            "CallbackCount",
            " callbackCount ",
            "callbac\u212aCount",
        ),
        *("maxcallbackthreshold", "MAXCALLBACKTHRESHOLD", "maxCallbac\u212aThre\u017fhold"),
        "".join(chr(ord(letter) + 0xFEE0) for letter in "callbackCount"),
    ],
)
def test_attempt_counter_is_one_in_any_letter_case(name: str) -> None:
    both = {"n": 1, name: 7, "callbackCount": 1}
    assert validated(both).id == validated({"n": 1}).id
    assert json.loads(validated(both).data) == both


@pytest.mark.parametrize(
    "member",
    [
        {"upgradeProgress": {"callbackCount": 1}},
        {"list": [{"maxCallbackThreshold": 1}]},
        {"callback_count": 1},
        {"callbackCounts": 1},
        {"count": 1},
        {"callback Count": 1},
    ],
)
def test_what_is_no_attempt_counter_at_the_top_level_is_part_of_the_id(
    member: dict[str, Any],
) -> None:
    canonical = json.dumps(member, sort_keys=True, separators=(",", ":"))
    assert validated(member).id == hashlib.sha256(canonical.encode()).hexdigest()[:32]


def test_message_of_nothing_but_counters_has_the_id_of_an_empty_one() -> None:
    assert validated({"callbackCount": 1, "CallbackCount": 2}).id == validated({}).id


SHAPES: list[Any] = [
    None,
    "",
    0,
    False,
    "text",
    [],
    {},
    [{}],
    {"a": 1},
    [{"a": 1}, {}],
    [1],
    [{}, None],
]


@given(
    st.sampled_from(sorted(KINDS_BY_TYPE)),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(sorted(KINDS_BY_TYPE), st.sampled_from(SHAPES))
    ),
)
def test_the_envelope_has_the_last_word_on_every_shape(type_: str, groups: dict[str, Any]) -> None:
    payload = {"type": type_, "accountName": 7, **groups}
    told = ", ".join(sorted(schemas.ENVELOPE_SCHEMA.validate(payload)))
    found = ""
    try:
        shape.check(payload, type_)
    except RefusalError as refusal:
        found = refusal.detail
    assert found == told


def test_no_two_kinds_share_a_name_or_a_type() -> None:
    assert len(KINDS) == len(KINDS_BY_NAME) == len(KINDS_BY_TYPE)
    assert UNKNOWN not in KINDS_BY_NAME


def test_the_envelope_checks_containers_and_the_type_and_nothing_else() -> None:
    assert set(schemas.ENVELOPE_SCHEMA.fields) == {"type", *KINDS_BY_TYPE}


@given(st.permutations(list(sample("upgrade-started").items())), st.text(), st.text())
def test_the_id_depends_on_neither_order_nor_credentials(
    items: list[tuple[str, Any]], username: str, password: str
) -> None:
    changed = {**dict(items), "username": username, "password": password}
    assert validated(changed).id == validated(sample("upgrade-started")).id


def test_a_message_of_no_type_and_of_no_account_is_unknown() -> None:
    fields = validated({"campaignId": "c"}).fields()
    assert fields["kind"] == "unknown"
    assert fields["type"] == "com.verizon.thingspace.fota.unknown"
    assert fields["source"] == "/thingspace/fota"
    assert "account" not in fields


@pytest.mark.parametrize("type_", [None, 7, [], {}, ""])
def test_a_type_that_is_no_text_is_unknown(type_: object) -> None:
    message = validated({"type": type_})
    assert (message.kind, message.type) == ("unknown", "com.verizon.thingspace.fota.unknown")


def test_a_new_type_keeps_its_name() -> None:
    message = validated({"type": "upgradePaused"})
    assert (message.kind, message.type) == (
        "unknown",
        "com.verizon.thingspace.fota.upgradePaused",
    )


def test_an_upgrade_id_is_found_at_the_top_level_too() -> None:
    assert validated({"upgradeId": "u-1", "status": "Queued"}).subject == "u-1"


def test_an_account_that_no_url_can_hold_is_escaped_in_the_source() -> None:
    assert validated({"accountName": "a b/c"}).fields()["source"] == "/thingspace/fota/a%20b%2Fc"


def test_source_of_a_message_without_an_account_names_none() -> None:
    fields = validated({"type": "new", "accountName": ""}).fields()
    assert fields["source"] == "/thingspace/fota"
    assert "account" not in fields


@pytest.mark.parametrize("value", ["", 5, True, [], {"a": 1}])
def test_account_and_upgrade_id_that_are_no_texts_are_left_out(value: Any) -> None:
    message = validated({"type": "new", "accountName": value, "upgradeId": value})
    assert (message.account, message.subject) == (None, None)
    assert list(message.fields()) == [
        *("specversion", "id", "source", "type", "time", "datacontenttype", "data", "kind"),
        "requestid",
    ]


def test_trace_context_stands_behind_all_other_attributes_and_does_not_change_the_id() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = Message.from_payload(
        sample("upgrade-started"), arrived=ARRIVED, request_id="r-1", traceparent=traceparent
    )
    plain = validated(sample("upgrade-started"))
    assert traced.id == plain.id
    assert traced.fields() == {**plain.fields(), "traceparent": traceparent}
    assert list(traced.fields())[-1] == "traceparent"


def test_data_keeps_the_order_of_the_members() -> None:
    assert validated({"type": "new", "b": 1, "a": 2}).data == b'{"type":"new","b":1,"a":2}'


SETTINGS = {"CALLBACK_USERNAME": "u", "CALLBACK_PASSWORD": "p", "REDIS_URL": "redis://h"}
ONE_ACCOUNT = Settings.from_env({**SETTINGS, "THINGSPACE_ACCOUNTS": "0242078689-00001"})


@pytest.mark.parametrize("name", ["0242078689-00002", "0242078689", "X", 1, False, [], {}])
def test_message_that_names_an_account_of_somebody_else_is_refused(name: Any) -> None:
    with pytest.raises(RefusalError) as caught:
        check_account({"accountName": name}, ONE_ACCOUNT)
    assert caught.value.reason == "account-refused"
    check_account({"accountName": name}, Settings.from_env(SETTINGS))


@pytest.mark.parametrize(
    "payload", [{}, {"accountName": None}, {"accountName": ""}, {"accountName": "0242078689-00001"}]
)
def test_message_that_names_our_account_or_none_passes(payload: dict[str, Any]) -> None:
    check_account(payload, ONE_ACCOUNT)
    with pytest.raises(RefusalError):
        check_account({**payload, "accountName": "0242078689-00002"}, ONE_ACCOUNT)


@pytest.mark.parametrize("name", sorted(path.stem for path in SAMPLES.glob("*.json")))
def test_sample_is_checked_without_the_slow_schema(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "ENVELOPE_SCHEMA", None)
    validated(sample(name))


@pytest.mark.parametrize("account", [None, "💩💩"])
@pytest.mark.parametrize("subject", [None, "💩"])
def test_size_is_that_of_the_entry_where_every_character_has_four_bytes(
    account: str | None, subject: str | None
) -> None:
    message = validated({})._replace(account=account, subject=subject, type="💩💩💩", data=b"12345")
    fields = message.fields()
    source = str(fields["source"]).removeprefix("/thingspace/fota").removeprefix("/")
    texts = [account or "", subject or "", message.type, source]
    assert message.size == 5 + sum(len(text.encode()) for text in texts)


def test_the_time_is_told_in_utc() -> None:
    there = ARRIVED.astimezone(timezone(timedelta(hours=-5)))
    assert timestamp(there) == "2026-11-23T08:05:01.000007Z"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": "\\u12"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
        b"a=1&b=2",
    ],
)
def test_what_is_not_json_or_cannot_be_kept_is_refused(body: bytes) -> None:
    assert refused(body) == "not-json"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body) == "not-an-object"


@pytest.mark.parametrize(
    "member",
    [
        {"type": "firmwareList", "firmwareList": {}},
        {"type": "firmwareList", "firmwareList": "x"},
        {"type": "firmwareList", "firmwareList": ["x"]},
        {"type": "upgradeScheduled", "upgradeScheduled": []},
        {"type": "upgradeProgress", "upgradeProgress": "started"},
        {"type": "upgradeFinished", "upgradeFinished": 1},
        {"type": "upgradeProgress", "upgradeProgress": {}, "firmwareList": {"a": 1}},
    ],
)
def test_a_recognised_type_with_misshapen_containers_is_refused(member: dict[str, Any]) -> None:
    assert refused(json.dumps(member).encode()) == "wrong-shape"


@pytest.mark.parametrize(
    "member",
    [
        {"type": "upgradeProgress"},
        {"type": "upgradeProgress", "firmwareList": {}, "upgradeScheduled": []},
        {"type": "upgradeProgress", "firmwareList": "", "upgradeScheduled": None},
        {"type": "firmwareList", "firmwareList": [], "somethingNew": [1]},
        {"type": "unheardOf", "firmwareList": "x"},
        {"firmwareList": "x"},
        {"type": "upgradeProgress", "accountName": 242078689, "participantName": None},
    ],
)
def test_what_may_be_authentic_is_accepted(member: dict[str, Any]) -> None:
    assert json.loads(validated(member).data) == member


def test_integers_keep_all_their_digits() -> None:
    # An ICCID has 20 digits: as a double it would come out as another number.
    payload = parse(b'{"iccid": 89148000000000000001}')
    assert b"89148000000000000001" in validated(payload).data


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse(b"\xef\xbb\xbf{}") == {}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON_VALUES))
def test_any_object_comes_out_as_it_went_in(content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    kept = without_credentials(content)
    assert json.loads(serialize(without_credentials(parse(body)))) == kept


@pytest.mark.parametrize("name", ["password", "Password", "USERNAME", "userName"])
def test_credentials_are_removed_in_any_letter_case(name: str) -> None:
    message = validated({"type": "x", name: "secret-value"})
    assert b"secret-value" not in message.data


def test_a_list_of_a_million_wrong_items_is_refused_at_the_first() -> None:
    # To tell of each took seven seconds and 600 MB.
    wrong = {"type": "firmwareList", "firmwareList": [1] * 2_000_000}
    begun = time.process_time()
    with pytest.raises(RefusalError, match="wrong-shape"):
        Message.from_payload(wrong, arrived=ARRIVED, request_id="r")
    assert time.process_time() - begun < 1
