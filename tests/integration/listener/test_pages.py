"""The pages about devices, upgrades, messages, dead letters and the quarantine, over a queue in the middle of a campaign."""

import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
import redis
from flask.testing import FlaskClient
from jinja2 import StrictUndefined

from listener.inspection.dead_letters import LetterFilter, read_dead_letters
from listener.inspection.search import backward_search, message_state
from listener.inspection.search.backward_search import BackwardSearch, Limits
from listener.ops.app import create_ops_app
from listener.ops.status_page import links
from listener.ops.status_page.failures import dead_letter_pages
from listener.ops.status_page.search import messages_page, page_search, upgrade_pages
from listener.queue.keys import every_partition
from listener.queue.queue import DurableQueue
from listener.settings.settings import Settings
from testbed.ports import free_port
from tests.support import campaign
from tests.support.cli import run

pytestmark = pytest.mark.redis_flavour

BROWSER = {"Accept": "text/html"}
PROGRAM = ("python", "-m", "listener")
UPGRADE, DEVICE = campaign.upgrade_id(3), campaign.device_id(3 * 40 + 1)
EVERY_PAGE = (
    "/messages", "/messages/0/1-0", f"/devices/{DEVICE}", "/upgrades", f"/upgrades/{UPGRADE}", "/dead",
    "/dead/0/1-0?group=billing", "/quarantine", "/quarantine/1-0", "/search?q=1-0",
)  # fmt: skip


@contextmanager
def pages_of(url: str, **settings: str) -> Iterator[FlaskClient]:
    about = {"CALLBACK_TOKEN": "token-of-all-the-tests", "REDIS_URL": url, "SPOOL_DIR": ""}
    with closing(DurableQueue(Settings.from_env({**about, **settings}))) as queue:
        app = create_ops_app(Settings.from_env({**about, **settings}), queue=queue)
        # A name that a template has wrong fails here, and would show as nothing otherwise.
        app.jinja_env.undefined = StrictUndefined
        yield app.test_client()


@pytest.fixture
def ops(redis_url: str) -> Iterator[FlaskClient]:
    with pages_of(redis_url) as client:
        yield client


@pytest.fixture
def ids(redis_client: "redis.Redis") -> list[str]:
    """Those of a campaign's messages, the oldest first."""
    return campaign.fill(redis_client)


def page(ops: FlaskClient, path: str, status: int = 200) -> str:
    answer = ops.get(path, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text
    return answer.text


def plain(text: str) -> str:
    """What a reader sees: without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def addresses(text: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(r'href="([^"]*)"', text)]


def entries_in(text: str) -> list[str]:
    """The entry ids of the table of messages, in their order."""
    results = text.partition('id="results"')[2]
    return re.findall(r'<td><a href="/messages/0/([0-9-]+)"', results)


def next_page(text: str) -> str | None:
    """Where the search continues."""
    found = re.search(r'id="go-on" href="([^"]*)"', text)
    return html.unescape(found[1]) if found else None


def test_what_happened_to_a_device_stands_on_its_page(ops: FlaskClient, ids: list[str]) -> None:
    text = plain(page(ops, f"/devices/{DEVICE}"))
    assert f"Device {DEVICE}" in text
    assert "Account 0242078689-00001." in text
    assert re.search(rf"{UPGRADE} failed .* FOTA_Verizon", text), text
    order = ["upgrade-finished", "upgrade-started", "upgrade-scheduled"]
    assert re.findall(r"upgrade-(?:finished|started|scheduled)", text) == order
    assert f"Looked at all {len(ids)} messages: this is all there is." in text


def test_of_a_list_of_devices_a_row_says_what_became_of_this_one(
    ops: FlaskClient, ids: list[str]
) -> None:
    rejected = campaign.device_id(3 * 40)
    text = plain(page(ops, f"/devices/{rejected}"))
    assert "Device Rejected: 12 devices" in text
    assert f"{UPGRADE} rejected" in text


@pytest.mark.parametrize(
    "spelling",
    ["{}", "IMEI {}", "imei: {}", "{}-", "99-001390-095819-9", "{}/", " {} ", "{}00"[:4]],
)
def test_a_device_is_found_in_any_spelling(ops: FlaskClient, ids: list[str], spelling: str) -> None:
    text = page(ops, f"/devices?id={quote(spelling.format(DEVICE))}")
    assert len(entries_in(text)) == (0 if spelling == "{}00" else 3), plain(text)


STRANGE_IDS = [
    "A0000049E1B2C3", "80A1B2C3", "unknown-device", "a/b/../c", "..", ".", "%2F", "a?b#c", "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>', "ünï\u202e", "\uff19\uff19\uff10", "x" * 900, "+", "0", "é", "{{7*7}}", "a\nb", "\x00x", "💥1",
]  # fmt: skip


@pytest.mark.parametrize("identifier", STRANGE_IDS)
def test_a_page_of_an_unknown_id_says_so(ops: FlaskClient, ids: list[str], identifier: str) -> None:
    for folder in ("devices", "upgrades"):
        for path in (
            f"/{folder}/{quote(identifier, safe='')}",
            f"/{folder}?id={quote(identifier)}",
        ):
            answer = ops.get(path, headers=BROWSER)
            assert answer.status_code in {200, 404}, path
            text = plain(answer.text)
            known = ("Nothing found.", "No device has this id", "There is no such page")
            assert any(sentence in text for sentence in known), text
            assert "<script>alert" not in answer.text
            assert "<img" not in answer.text


@pytest.mark.parametrize("folder", ["devices", "upgrades"])
def test_an_id_of_4000_letters_is_refused_with_a_sentence(ops: FlaskClient, folder: str) -> None:
    text = plain(page(ops, f"/{folder}/{'9' * 4000}", 404))
    assert "must have at most 1,000 letters" in text


@pytest.mark.parametrize("place", range(len(campaign.HOSTILE)))
def test_a_hostile_id_has_pages_that_its_message_links_to(
    ops: FlaskClient, redis_client: "redis.Redis", place: int
) -> None:
    last = campaign.fill(redis_client, hostile=True)[-len(campaign.HOSTILE) :][place]
    message = page(ops, f"/messages/0/{last}")
    linked = [each for each in addresses(message) if re.match(r"/(devices|upgrades)[/?]", each)]
    assert len(linked) == 2
    for address in linked:
        text = page(ops, address)
        assert last in entries_in(text), address
        assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("kind=nonsense", "kind must be one of"),
        ("from=yesterday", "from must be"),
        ("to=2026-13-45", "to must be"),
        ("from=1969-01-01", "from is before 1970"),
        ("from=99999999999999999999-0", "from must be"),
        ("before=nonsense", "before must be a position"),
        ("before=1-2", "before must be a position"),
        ("upgrade=…", "upgrade must have a letter or a digit"),
        ("device=%F0%9F%92%A5", "device must be a device's id"),
        (f"before={'9' * 5000}-0-0", "before must have at most 1,000 letters"),
        (f"id={'9' * 5000}", "id must have at most 1,000 letters"),
    ],
)  # fmt: skip
def test_a_filter_of_another_form_is_refused_with_a_sentence_and_stays_in_its_form(
    ops: FlaskClient, ids: list[str], query: str, sentence: str
) -> None:
    text = page(ops, f"/messages?{query}", 400)
    assert sentence in plain(text)
    assert '<form class="filters"' in text
    problem = ops.get(f"/messages?{query}")
    assert (problem.status_code, problem.mimetype) == (400, "application/problem+json")
    assert sentence in problem.get_json()["detail"]


@pytest.mark.parametrize("path", [f"/devices/{DEVICE}", f"/upgrades/{UPGRADE}", "/upgrades"])
def test_a_position_of_another_form_is_refused_with_a_sentence(ops: FlaskClient, path: str) -> None:
    assert "before must be a position" in plain(page(ops, f"{path}?before=x", 400))


@pytest.mark.parametrize("path", EVERY_PAGE)
def test_a_page_says_that_redis_does_not_answer(path: str) -> None:
    with pages_of(f"redis://user:secret@127.0.0.1:{free_port()}") as ops:
        text = page(ops, path, 503)
        assert "Redis does not answer" in text
        problem = ops.get(path)
        assert (problem.status_code, problem.mimetype) == (503, "application/problem+json")
        assert "Redis does not answer" in problem.get_json()["detail"]
        assert "secret" not in text + problem.text


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/messages", "There is no message in the queue yet."),
        (f"/devices/{DEVICE}", "There is no message in the queue yet."),
        (f"/upgrades/{UPGRADE}", "There is no message in the queue yet."),
        ("/upgrades", "No message names an upgrade."),
        ("/dead", "None."),
        ("/quarantine", "Empty."),
    ],
)
def test_an_empty_namespace_has_pages(ops: FlaskClient, path: str, sentence: str) -> None:
    assert sentence in plain(page(ops, path))


@pytest.mark.parametrize("path", ["/messages/0/1-0", "/dead/0/1-0?group=x", "/quarantine/1-0"])
def test_an_entry_that_is_not_there_has_a_page_that_says_so(
    ops: FlaskClient, ids: list[str], path: str
) -> None:
    assert "There is no such" in page(ops, path, 404)
    for entry_id in ("9" * 30, "9" * 5000 + "-1", "x", "1-1-1", "-", "1-9" + "9" * 20):
        assert "There is no such" in page(ops, path.replace("1-0", entry_id), 404)
    assert page(ops, path.replace("/0/", "/7/"), 404)


@pytest.mark.parametrize(
    "query", ["", "?kind=upgrade-started", "?from=1h", f"?upgrade={UPGRADE[:8]}"]
)
def test_pages_of_messages_follow_each_other_while_new_ones_come(
    ops: FlaskClient,
    redis_client: "redis.Redis",
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
    query: str,
) -> None:
    whole = entries_in(page(ops, f"/messages{query}"))
    monkeypatch.setattr("listener.ops.status_page.search.messages_page.PAGE_ROWS", 7)
    found, address = list[str](), f"/messages{query}"
    while address:
        text = page(ops, address)
        found += entries_in(text)
        assert len(entries_in(text)) <= 7
        redis_client.xadd(campaign.STREAM, {"kind": "upgrade-started", "subject": UPGRADE})
        address = next_page(text) or ""
    assert found[: len(whole)] == whole
    assert len(found) == len(set(found))
    if not query:
        assert found == ids[::-1]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=2100-01-01T00:00", "There is no message since 1 Jan 2100 00:00 UTC."),
        (
            f"device={DEVICE}&from=2000-01-01T00:00",
            "Looked at all 167 messages since 1 Jan 2000 00:00 UTC.",
        ),
        (
            "from=2000-01-01T00:00&to=2000-01-02T00:00",
            "There is no message between 1 Jan 2000 00:00 UTC and 2 Jan 2000 00:00 UTC.",
        ),
    ],
)
def test_a_search_from_a_time_does_not_speak_of_the_whole_queue(
    ops: FlaskClient, ids: list[str], query: str, sentence: str
) -> None:
    text = plain(page(ops, f"/messages?{query}"))
    assert sentence in text
    assert "this is all there is" not in text


def test_a_search_that_runs_out_of_time_goes_on_and_still_says_the_last_state(
    ops: FlaskClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_search, "Limits", lambda matches: Limits(matches, entries=20))
    monkeypatch.setattr(backward_search, "STEP_ENTRIES", 20)
    address: str | None = f"/devices/{DEVICE}"
    texts = []
    while address:
        texts.append(page(ops, address))
        address = next_page(texts[-1])
    assert "Nothing found so far." in plain(texts[0])
    assert re.search(
        r"Looked at the newest 20 of 167 messages, back to \d+ \w+ \d\d:\d\d UTC", texts[0]
    )
    [first] = [text for text in texts if "Last state in each upgrade" in text]
    assert f"{UPGRADE} failed" in plain(first)
    found = [entry for text in texts for entry in entries_in(text)]
    assert len(found) == 3
    assert "this is all there is" in texts[-1]


@pytest.mark.parametrize("accounts", ["ab", "aab", "aa", "abab"])
@pytest.mark.parametrize("path", [f"/devices/{DEVICE}?", "/upgrades/u?", "/messages?kind=unknown&"])
def test_rows_of_a_search_that_goes_on_have_the_same_columns_and_name_their_account(
    ops: FlaskClient,
    redis_client: "redis.Redis",
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    accounts: str,
) -> None:
    data = json.dumps({"deviceId": DEVICE})
    for number, account in enumerate(accounts, start=1):
        fields = {"kind": "unknown", "subject": "u", "account": account, "data": data}
        redis_client.xadd(campaign.STREAM, fields, id=f"{number}-0")  # type: ignore[arg-type]
    whole = page(ops, path)
    assert ("Account a." in plain(whole)) == (accounts == "aa" and "/upgrades" not in path)
    monkeypatch.setattr(page_search, "Limits", lambda matches: Limits(matches, entries=1))
    monkeypatch.setattr(messages_page, "Limits", lambda matches: Limits(matches, entries=1))
    monkeypatch.setattr(backward_search, "STEP_ENTRIES", 1)
    address: str | None = path
    rows, headings = [], set()
    while address:
        text = page(ops, address)
        assert "Account a." not in plain(text)
        results = text.partition('id="results"')[2]
        rows += re.findall(r"<td>(a|b)</td></tr>", results)
        headings |= set(re.findall(r"<thead>.*?</thead>", results))
        address = next_page(text)
    assert rows == list(accounts[::-1])
    assert len(headings) == 1


def test_an_upgrades_page_counts_its_devices_and_lists_the_failed_ones_first(
    ops: FlaskClient, ids: list[str]
) -> None:
    text = plain(page(ops, f"/upgrades/{UPGRADE}"))
    assert "2 failed, 1 rejected, 0 started, 0 scheduled, 9 succeeded" in text
    devices = text.partition("Devices, failed ones first")[2].partition("Its messages")[0]
    states = re.findall(r"failed|rejected|succeeded", devices)
    assert states == ["failed"] * 2 + ["rejected"] + ["succeeded"] * 9
    assert "By all 23 messages about it." in text


def test_an_upgrade_of_more_messages_than_are_read_is_said_to_be_partly_seen(
    ops: FlaskClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade_pages, "MAX_UPGRADE_MESSAGES", 10)
    monkeypatch.setattr(upgrade_pages, "PAGE_ROWS", 4)
    text = page(ops, f"/upgrades/{UPGRADE}")
    assert "partly seen" in text
    assert "By the newest 10 messages about it" in plain(text)
    found, older = entries_in(text), re.search(r'href="([^"]*)">Older messages', text)
    while older:
        text = page(ops, html.unescape(older[1]))
        assert "Stage" not in text
        found += entries_in(text)
        older = re.search(r'href="([^"]*)"[^>]*>(?:Older messages|Go on)', text)
    assert len(found) == len(set(found)) == 23


@pytest.mark.parametrize("devices", [2_000, 5_000])
def test_an_upgrade_with_a_large_list_of_devices_is_not_called_finished_after_one_of_them(
    ops: FlaskClient, redis_client: "redis.Redis", devices: int
) -> None:
    listed = [{"deviceId": f"{n:015}", "status": "Device Accepted" * 4} for n in range(devices)]
    for kind, type_, container in (
        ("upgrade-scheduled", "upgradeScheduled", {"deviceList": listed}),
        ("upgrade-finished", "upgradeFinished", {"deviceId": "0" * 15, "status": "UpgradeSuccess"}),
    ):
        fields = {
            "kind": kind,
            "subject": "u",
            "data": json.dumps({"type": type_, type_: container}),
        }
        redis_client.xadd(campaign.STREAM, fields)  # type: ignore[arg-type]
    text = plain(page(ops, "/upgrades/u"))
    assert "Stage partly seen Progress 1 of 1 devices seen" in text
    assert "By 2 messages about it, of which 1 is too large to be looked into" in text
    if devices == 5_000:
        overview = plain(sections_of(page(ops, "/"))["upgrades"])
        assert "partly seen 1 of 1 seen" in overview
        assert "or some are too large to be looked into" in overview


def test_the_upgrades_are_summed_up_by_their_newest_messages(
    ops: FlaskClient, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page(ops, "/upgrades")
    order = [each for each in addresses(text) if each.startswith("/upgrades/")]
    assert order == [f"/upgrades/{campaign.upgrade_id(number)}" for number in range(8)]
    monkeypatch.setattr(upgrade_pages, "MAX_UPGRADES", 3)
    assert "And 5 more among these messages" in plain(page(ops, "/upgrades"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (UPGRADE, f"/upgrades/{UPGRADE}"),
        (UPGRADE.upper(), f"/upgrades/{UPGRADE.upper()}"),
        (UPGRADE[:8], f"/messages?upgrade={UPGRADE[:8]}"),
        (DEVICE, f"/devices/{DEVICE}"),
        (f" {DEVICE} ", f"/devices/{DEVICE}"),
        ("12345678", "/devices/12345678"),
        ("A0000049E1B2C3", "/devices/A0000049E1B2C3"),
        ("a/b", "/devices?id=a%2Fb"),
        ("0" * 31 + "F", f"/messages?id={'0' * 31}f"),
        ("", "/messages"),
        ("99-001390", "/devices/99-001390"),
        (f"{2**64}-0", f"/devices/{2**64}-0"),
    ],
)
def test_the_search_box_leads_to_the_page_that_is_meant(
    ops: FlaskClient, ids: list[str], text: str, place: str
) -> None:
    answer = ops.get(f"/search?q={quote(text)}", headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (302, place)


def test_the_search_box_finds_an_entry_and_refuses_what_is_too_long(
    ops: FlaskClient, ids: list[str]
) -> None:
    assert ops.get(f"/search?q={ids[7]}").headers["Location"] == f"/messages/0/{ids[7]}"
    assert "at most 1,000 letters" in plain(page(ops, f"/search?q={'x' * 3000}", 400))


def test_an_upgrade_in_any_letter_case_is_the_same(ops: FlaskClient, ids: list[str]) -> None:
    assert len(entries_in(page(ops, f"/upgrades/{UPGRADE.upper()}"))) == 23


def test_a_messages_page_says_what_each_group_did_with_it(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str]
) -> None:
    newest, pending = ids[-1], ids[-42]
    redis_client.xgroup_create(campaign.STREAM, "new group", "0")
    text = plain(page(ops, f"/messages/0/{newest}"))
    assert "billing not read yet" in text
    assert "dashboard acknowledged" in text
    assert "new group not read yet" in text
    assert "python -m listener resend" in text
    held = plain(page(ops, f"/messages/0/{pending}"))
    assert re.search(r"billing pending with billing-7d9f for \d+ s, delivered 1 time\b", held), held
    dead = page(ops, f"/messages/0/{ids[25]}")
    assert "billing dead handler-failed: KeyError: 'T-17' dead letter" in plain(dead)
    [command, _] = [line for line in commands_in(dead) if "billing" in line or "resend" in line]
    assert command.startswith("python -m listener dead requeue ")
    letter = next(each for each in addresses(dead) if each.startswith("/dead/"))
    assert "Traceback (most recent call last):" in page(ops, letter)


@pytest.mark.parametrize("limit", ["MAX_LETTERS", "MAX_LETTER_BYTES"])
def test_a_message_whose_dead_letter_may_be_older_than_those_read_is_not_called_acknowledged(
    ops: FlaskClient,
    redis_client: "redis.Redis",
    ids: list[str],
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    monkeypatch.setattr(message_state, "LETTER", replace(message_state.LETTER, max_entries=4))
    monkeypatch.setattr(message_state, limit, 4)
    text = page(ops, f"/messages/0/{ids[20]}")
    assert "billing acknowledged, or an older dead letter" in plain(text)
    assert "dashboard acknowledged" in plain(text)
    assert [shlex.split(line)[-1] for line in commands_in(text)] == ["dashboard"]
    assert "billing dead handler-failed" in plain(page(ops, f"/messages/0/{ids[42]}"))
    unread = plain(page(ops, f"/messages/0/{ids[-1]}"))
    assert "billing not read yet" in unread
    redis_client.xtrim(campaign.DEAD, maxlen=4, approximate=False)
    assert "older dead letter" not in page(ops, f"/messages/0/{ids[20]}")


def test_a_messages_page_is_titled_and_leads_on(ops: FlaskClient, ids: list[str]) -> None:
    text = page(ops, f"/messages/0/{ids[-1]}")
    title = re.search(r"<h1>(.*)</h1>", text)
    assert title
    assert re.fullmatch(r"upgrade-finished, device \d{15}, UpgradeSuccess", title[1])
    linked = addresses(text)
    assert f"/messages/0/{ids[-2]}" in linked
    assert any(each.startswith("/devices/") for each in linked)
    assert any(each.startswith("/upgrades/") for each in linked)
    assert "the newest" in text
    assert "the oldest" in page(ops, f"/messages/0/{ids[0]}")


def commands_in(text: str) -> list[str]:
    return [
        html.unescape(each) for each in re.findall(r'<pre class="command"[^>]*>(.*?)</pre>', text)
    ]


def test_dead_letters_stand_by_error_with_the_command_that_gives_them_back(
    ops: FlaskClient, ids: list[str]
) -> None:
    text = page(ops, "/dead")
    assert re.findall(r"<h2[^>]*>.*?</h2>", text)[0].count("12") == 1
    assert "15 in all" in plain(text)
    given_back = [shlex.split(line) for line in commands_in(text)]
    assert [words[:5] for words in given_back] == [[*PROGRAM, "dead", "requeue"]] * 2
    assert [len(words) - 7 for words in given_back] == [12, 3]
    assert "None of this group." in plain(page(ops, "/dead?group=dashboard"))


def test_of_many_dead_letters_the_command_names_the_error(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str]
) -> None:
    for number in range(30):
        error = f"device 99001390{number:07} isn't known\nat all"
        letter = {"reason": "handler-failed", "error": error, "entry": ids[0], "kind": "unknown"}
        redis_client.xadd("{fota:0}:dead:dashboard", letter)  # type: ignore[arg-type]
    [line] = commands_in(page(ops, "/dead?group=dashboard"))
    words = shlex.split(line)
    assert words[:6] == [*PROGRAM, "dead", "requeue", "--error"]
    assert words[6] == "device # isn't known at all"
    [partition] = every_partition("fota", 1)
    letters = list(read_dead_letters(redis_client, partition, "dashboard"))
    assert len(letters) == 30
    assert all(map(LetterFilter(error=words[6]).matches, letters)), "the command finds all of them"


def test_of_many_dead_letters_the_page_says_that_the_command_gives_back_more_than_it_lists(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str]
) -> None:
    add_letters(redis_client, {0: range(1, 31)}, error="timeout")
    text = plain(page(ops, "/dead?group=dashboard"))
    assert "gives back every dead letter of the group whose error contains this text, also" in text
    few = plain(page(ops, "/dead?group=billing"))
    assert "whose error contains" not in few


@pytest.mark.parametrize("error", ["", "\n", " "])
def test_of_many_dead_letters_without_an_error_there_is_no_command(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str], error: str
) -> None:
    add_letters(redis_client, {0: range(1, 31)}, error=error)
    text = page(ops, "/dead?group=dashboard")
    assert "30 in all" in plain(text)
    assert commands_in(text) == []


def add_letters(
    client: "redis.Redis",
    seconds: Mapping[int, Iterable[int]],
    group: str = "dashboard",
    error: str = "E",
) -> None:
    """Adds dead letters to partitions, by the seconds of their ids."""
    for partition, each in seconds.items():
        for second in each:
            letter = {"reason": "r", "error": error, "failed": f"2026-11-29T08:00:{second:02}Z"}
            client.xadd(f"{{fota:{partition}}}:dead:{group}", letter, id=f"{second}000-0")  # type: ignore[arg-type]


def test_dead_letters_of_several_partitions_and_groups_stand_newest_first(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    for partition in range(3):
        redis_client.xgroup_create(f"{{fota:{partition}}}:messages", "a", "0", mkstream=True)
        redis_client.xgroup_create(f"{{fota:{partition}}}:messages", "b", "0", mkstream=True)
    seconds = {0: range(10, 50, 3), 1: range(11, 50, 3), 2: range(12, 50, 3)}
    add_letters(redis_client, seconds, "a")
    add_letters(redis_client, {2: [9, 51]}, "b", "F")
    with pages_of(redis_url, QUEUE_PARTITIONS="3") as ops:
        text = page(ops, "/dead")
        first, second = text.split("<article")[1:]
        found = re.findall(r"/dead/\d/(\d+)000-0", first)
        assert found == [str(second) for second in range(49, 29, -1)]
        times = re.findall(r'datetime="[^"]*:(\d\d)[+Z.]', first)
        assert times[:2] == ["49", "10"], "the newest, the oldest"
        assert re.findall(r"/dead/\d/(\d+)000-0", second) == ["51", "9"]


def test_dead_letters_that_are_read_are_the_newest_of_all_groups(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_client.delete("{fota:0}:dead:billing")
    add_letters(redis_client, {0: range(1, 30)}, "billing", "old")
    add_letters(redis_client, {0: range(30, 60)}, "dashboard", "new")
    monkeypatch.setattr(dead_letter_pages, "MAX_ALL_LETTERS", 30)
    text = plain(page(ops, "/dead"))
    assert "Of 59, 30 were read." in text
    assert "dashboard: new" in text
    assert "billing: old" not in text


def test_page_of_dead_letters_says_how_those_of_destroyed_groups_are_found(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str]
) -> None:
    add_letters(redis_client, {0: [1]}, "destroyed")
    sentence = (
        "Dead letters of groups that were destroyed are not among these: "
        "python -m listener dead list shows them."
    )
    assert sentence in plain(page(ops, "/dead"))
    assert sentence not in plain(page(ops, "/dead?group=destroyed"))
    assert "1 in all" in plain(page(ops, "/dead?group=destroyed"))
    redis_client.delete("{fota:0}:dead:billing")
    assert f"None. {sentence}" in plain(page(ops, "/dead"))


@pytest.mark.parametrize("group", ["two words", "it's", "$(id)", "-x", "a;b", "*", "ünï", "<b>"])
def test_a_command_names_any_group_as_a_shell_takes_it(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str], group: str
) -> None:
    redis_client.xgroup_create(campaign.STREAM, group, "0")
    letter = {"reason": "handler-failed", "error": "E", "entry": ids[0], "kind": "unknown"}
    entry: Any = redis_client.xadd(f"{{fota:0}}:dead:{group}", letter)  # type: ignore[arg-type]
    found = [shlex.split(line) for line in commands_in(page(ops, f"/dead?group={quote(group)}"))]
    assert found == [[*PROGRAM, "dead", "requeue", entry, "--group", group]]
    one = page(ops, f"/dead/0/{entry}?group={quote(group)}")
    assert [shlex.split(line)[-1] for line in commands_in(one)] == [group] * 2


def test_with_several_partitions_each_command_names_the_partition(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    letter: Any = {"reason": "handler-failed", "error": "E", "kind": "unknown"}
    for partition in every_partition("fota", 2):
        for entry in ("1000-0", "2000-0"):
            redis_client.xadd(partition.messages, {"kind": "unknown"}, id=entry)
            redis_client.xadd(partition.dead("g"), {**letter, "entry": "1000-0"}, id=entry)
        redis_client.xgroup_create(partition.messages, "g", "$")
    with pages_of(redis_url, QUEUE_PARTITIONS="2") as ops:
        found = {
            path: [
                line.removeprefix("python -m listener ") for line in commands_in(page(ops, path))
            ]
            for path in (
                "/dead",
                "/dead/1/1000-0?group=g",
                "/messages/0/1000-0",
                "/messages/1/2000-0",
            )
        }
    assert list(found.values()) == [
        [f"dead requeue 1000-0 2000-0 --group g --partition {number}" for number in range(2)],
        [f"dead {act} 1000-0 --group g --partition 1" for act in ("requeue", "drop")],
        ["dead requeue 2000-0 --group g --partition 0"],
        ["resend 2000-0 --group g --partition 1"],
    ]
    for line in (*found["/dead"], *found["/messages/1/2000-0"]):
        result = run(redis_url, *shlex.split(line), QUEUE_PARTITIONS="2")
        assert result.exit_code == 0, result.output


def test_a_group_that_cannot_be_typed_has_no_command(
    ops: FlaskClient, redis_client: "redis.Redis", ids: list[str]
) -> None:
    redis_client.xgroup_create(campaign.STREAM, "a\nb", "0")
    redis_client.xadd("{fota:0}:dead:a\nb", {"reason": "r", "error": "E", "entry": ids[0]})
    text = page(ops, "/dead")
    assert len(commands_in(text)) == 2


def test_quarantined_messages_stand_by_reason_with_the_command_to_act(
    ops: FlaskClient, ids: list[str]
) -> None:
    text = page(ops, "/quarantine")
    assert re.findall(r"<h2 id=.*?</span> ([a-z-]+)</h2>", text) == ["account-refused", "not-json"]
    assert commands_in(text) == [
        "python -m listener quarantine replay --reason account-refused",
        "python -m listener quarantine replay --reason not-json",
    ]
    one = next(each for each in addresses(text) if each.startswith("/quarantine/"))
    shown = page(ops, one)
    assert commands_in(shown)[0].startswith("python -m listener quarantine replay ")
    assert "Traceback" not in shown


def test_too_many_searches_at_once_are_refused_with_a_sentence(
    ops: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise backward_search.SearchesBusyError("4 searches run already")

    monkeypatch.setattr(BackwardSearch, "run", refuse)
    assert "Too many searches run" in page(ops, f"/devices/{DEVICE}", 503)


def test_the_pages_of_several_partitions_merge_their_messages(
    redis_url: str, redis_client: "redis.Redis"
) -> None:
    for number in range(1, 31):
        fields = {"kind": "upgrade-started", "subject": "u", "data": '{"d": "123456789012345"}'}
        redis_client.xadd(f"{{fota:{number % 3}}}:messages", fields, id=f"{number}-0")  # type: ignore[arg-type]
    with pages_of(redis_url, QUEUE_PARTITIONS="3") as ops:
        text = page(ops, "/devices/123456789012345")
        found = re.findall(r'<td><a href="/messages/(\d)/(\d+)-0"', text)
        assert found == [(str(number % 3), str(number)) for number in range(30, 0, -1)]
        assert "upgrade-started" in page(ops, "/messages/1/1-0")


def test_an_id_that_a_path_cannot_carry_is_a_parameter() -> None:
    assert links.device_link("a/b") == "/devices?id=a%2Fb"
    assert links.device_link("..") == "/devices?id=.."
    assert links.device_link("") == ""
    assert links.device_link("x" * 1001) == ""


def sections_of(text: str) -> dict[str, str]:
    """The overview's sections by their id, in their order."""
    parts = re.split(r'<section id="([a-z]+)"', text)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_overview_has_what_is_wrong_before_what_is_well(ops: FlaskClient, ids: list[str]) -> None:
    sections = list(sections_of(page(ops, "/")))
    assert sections[:2] == ["verdict", "glance"]
    # Dead letters and refused messages are warnings.
    assert sections.index("groups") < sections.index("quarantine") < sections.index("arrivals")
    assert set(sections) >= {"registration", "arrivals", "upgrades", "newest"}


def test_overview_shows_five_upgrades_and_folds_the_others(
    ops: FlaskClient, ids: list[str]
) -> None:
    upgrades = sections_of(page(ops, "/"))["upgrades"]
    shown, folded = upgrades.split("<details")
    assert [part.count('<th scope="row">') for part in (shown, folded)] == [5, 3]
    assert "All 8" in folded
    first = re.findall(r'href="/upgrades/([0-9a-f-]+)"', shown)[0]
    assert first == UPGRADE, "the one with failed devices stands first"


def test_bar_of_an_upgrade_that_has_started_and_not_ended_is_hollow(
    ops: FlaskClient, ids: list[str]
) -> None:
    upgrades = sections_of(page(ops, "/"))["upgrades"]
    [bar] = re.findall(
        r'<svg class="progress open"[^>]*0 of 11 devices[^>]*>(.*?)</svg>', upgrades, re.DOTALL
    )
    assert re.findall(r'class="(?:failed|succeeded)"[^/]*?width="([0-9.]+)%"', bar) == [
        "0.0",
        "0.0",
    ]


def test_account_that_all_messages_share_is_said_once(ops: FlaskClient, ids: list[str]) -> None:
    sections = sections_of(page(ops, "/"))
    for name in ("upgrades", "newest"):
        assert sections[name].count(campaign.ACCOUNT) == 1


def test_registration_and_keeping_are_said_in_words(
    ops: FlaskClient, redis_client: "redis.Redis"
) -> None:
    campaign.register(redis_client)
    sections = sections_of(page(ops, "/"))
    assert "registered: there was none before" in sections["registration"]
    facts = re.findall(r"<dt>(.*?)</dt>", sections["keeping"])
    assert facts == ["A message now goes to", "Redis", "Spool"]


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("", "Arrivals a minute, last 150 minutes"),
        ("?chart=15m", "Arrivals a minute, last 15 minutes"),
        ("?chart=3h", "Arrivals a minute, last 3 hours"),
        ("?chart=24h", "Arrivals in 10 minutes, last 24 hours"),
        ("?chart=nonsense", "Arrivals a minute, last 150 minutes"),
    ],
)
def test_chart_begins_where_its_data_do_or_as_was_chosen(
    ops: FlaskClient, ids: list[str], query: str, heading: str
) -> None:
    assert f">{heading}</h2>" in page(ops, f"/{query}")
