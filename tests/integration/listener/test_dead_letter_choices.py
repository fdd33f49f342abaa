"""`dead` and `quarantine`: letters are grouped and chosen by error, kind, reason and time; what chooses many asks."""

import json
from typing import Any

import pytest

from listener.cli import common
from listener.queue.keys import Partition
from tests.support.cli import DEAD, QUARANTINE, STREAM, add, bury, listed, payload, read, run

pytestmark = pytest.mark.redis_flavour

UPGRADE = "60b5d639-ccdc-4db8-8824-069bd94c95bf"
ERRORS = (
    "KeyError: no tariff for 990000000000036",
    f"KeyError: no tariff for {UPGRADE}",
    "KeyError: no tariff for 7",
    "TimeoutError: 30 s",
    "",
)


@pytest.fixture
def letters(redis_client: Any) -> list[str]:
    """Five dead letters of five messages, the fourth of an unknown kind, the last without an error."""
    redis_client.xgroup_create(STREAM, "billing", "0", mkstream=True)
    for number in range(5):
        members: dict[str, Any] = {"type": "other"} if number == 3 else {}
        add(redis_client, number, **members)
    return [
        bury(redis_client, entry, error=error, **({} if error else {"reason": "crashed"}))
        for entry, error in zip(read(redis_client, "billing"), ERRORS, strict=True)
    ]


def dead(url: str, *words: str, **options: Any) -> Any:
    return run(url, "dead", *words, **options)


def left(client: Any) -> list[str]:
    return [entry_id for entry_id, _ in client.xrange(DEAD)]


def test_letters_of_one_error_are_counted_together_whatever_their_numbers_and_ids(
    redis_url: str, letters: list[str]
) -> None:
    groups = listed(dead(redis_url, "list", "--by", "error", "--json"))
    assert [(each["letters"], each["error"]) for each in groups] == [
        (3, "KeyError: no tariff for #"),
        (1, "TimeoutError: # s"),
        (1, ""),
    ]
    assert (groups[0]["newest"], groups[0]["kinds"]) == (letters[2], ["upgrade-finished"])
    assert (groups[2]["reason"], groups[1]["kinds"]) == ("crashed", ["unknown"])
    table = dead(redis_url, "list", "--by", "error").stdout
    assert "The same in all 3: group billing" in table
    assert [line.split()[1] for line in table.splitlines()[4:]] == ["3", "1", "1"]
    first = dead(redis_url, "list", "--by", "error", "--limit", "1")
    assert "There are more than 1" in first.stderr


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (("--error", "KEYERROR"), [0, 1, 2]),
        (("--error", "no tariff for #"), [0, 1, 2]),
        (("--error", UPGRADE), [1]),
        (("--error", "crashed"), [4]),
        (("--error", "crash"), []),
        (("--error", "*"), []),
        (("--kind", "unknown"), [3]),
        (("--kind", "unknown", "--kind", "upgrade-finished", "--error", "Error"), [0, 1, 2, 3]),
        (("--since", "1h"), [0, 1, 2, 3, 4]),
        (("--from", "1h", "--limit", "2"), [0, 1]),
        (("--since", "now"), []),
        (("--all", "--limit", "1"), [0]),
    ],
)
def test_the_same_choice_is_listed_given_back_and_dropped(
    redis_url: str, redis_client: Any, letters: list[str], words: tuple[str, ...], chosen: list[int]
) -> None:
    wanted = [letters[at] for at in chosen]
    seen = listed(dead(redis_url, "list", *(it for it in words if it != "--all"), "--json"))
    assert [each["dead"] for each in seen] == wanted
    for command in ("requeue", "drop"):
        dry = dead(redis_url, command, "--group", "billing", *words, "--dry-run")
        assert (dry.exit_code, left(redis_client)) == (0, letters)
        assert [line.partition(":")[0] for line in dry.stdout.splitlines()[:-2]] == wanted
        assert dry.stdout.endswith("Nothing was changed.\n")
    command = "requeue" if len(chosen) % 2 else "drop"
    done = dead(redis_url, command, "--group", "billing", *words, "--yes")
    assert done.exit_code == 0, done.output
    assert left(redis_client) == [each for each in letters if each not in wanted]
    pending = redis_client.xpending(STREAM, "billing")["pending"]
    assert pending == (len(wanted) if command == "requeue" else 0)


def test_the_oldest_of_all_partitions_come_first(redis_url: str, redis_client: Any) -> None:
    for partition, entry_id in ((0, "2000-0"), (1, "1000-0"), (1, "3000-0")):
        redis_client.xadd(Partition("fota", partition).dead("billing"), {"error": "x"}, id=entry_id)
    seen = listed(dead(redis_url, "list", "--json", QUEUE_PARTITIONS="2"))
    assert [(each["dead"], each["partition"]) for each in seen] == [
        ("1000-0", 1), ("2000-0", 0), ("3000-0", 1),
    ]  # fmt: skip
    words = ("drop", "-g", "billing", "--limit", "2", "--dry-run")
    dry = dead(redis_url, *words, QUEUE_PARTITIONS="2")
    assert dry.stdout.startswith("1000-0: would be dropped\n2000-0: would be dropped\n2 dead")


def test_a_letter_from_an_id_on_is_chosen_with_it(redis_url: str, letters: list[str]) -> None:
    seen = listed(dead(redis_url, "list", "--since", letters[3], "--json"))
    assert [each["dead"] for each in seen] == letters[3:]


def test_giving_back_what_nobody_named_asks(
    redis_url: str, redis_client: Any, letters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("requeue", "--group", "billing")
    for choice in (("--all",), ("--error", "KeyError"), ("--limit", "2")):
        alone = dead(redis_url, *words, *choice)
        assert (alone.exit_code, "add --yes" in alone.stderr) == (2, True)
    monkeypatch.setattr(common, "is_interactive", lambda: True)
    refused = dead(redis_url, *words, "--error", "KeyError", answer="n\n")
    assert "Give 3 dead letters back to billing? [y/N]" in refused.output
    assert (refused.exit_code, left(redis_client)) == (1, letters)
    assert dead(redis_url, *words, "--error", "KeyError", answer="y\n").exit_code == 0
    assert dead(redis_url, *words, letters[3]).exit_code == 0, "a named one is not asked about"
    assert left(redis_client) == letters[4:]


def test_dry_run_says_what_would_be_added_anew(
    redis_url: str, redis_client: Any, letters: list[str]
) -> None:
    redis_client.xtrim(STREAM, maxlen=0)
    dry = dead(redis_url, "requeue", letters[0], "--group", "billing", "--dry-run")
    assert f"{letters[0]}: would be added anew: every group gets it again" in dry.stdout
    assert (redis_client.xlen(STREAM), left(redis_client)) == (0, letters)


@pytest.mark.parametrize(
    "words",
    [
        ("requeue", "-g", "billing"),
        ("requeue", "1-0", "-g", "billing", "--all"),
        ("drop", "1-0", "-g", "billing", "--error", "x"),
        ("drop", "-g", "billing", "--since", "yesterday"),
        ("requeue", "-g", "billing", "--limit", "0"),
        ("requeue", "-g", "billing", "--kind", "none"),
        ("list", "--by", "colour"),
    ],
)
def test_wrong_usage_changes_nothing(
    redis_url: str, redis_client: Any, letters: list[str], words: tuple[str, ...]
) -> None:
    assert dead(redis_url, *words, "--yes" if words[0] != "list" else "--json").exit_code == 2
    assert left(redis_client) == letters


@pytest.mark.parametrize("text", ["", " ", "\t"])
@pytest.mark.parametrize("option", ["--error", "--since", "--from"])
def test_empty_text_of_an_unset_variable_chooses_no_dead_letter(
    redis_url: str, redis_client: Any, letters: list[str], option: str, text: str
) -> None:
    for command in ("requeue", "drop"):
        for also in ((), ("--all",), ("--kind", "unknown"), ("--limit", "1")):
            words = (command, "-g", "billing", option, text, *also, "--yes")
            result = dead(redis_url, *words)
            assert (result.exit_code, option.replace("from", "since") in result.stderr) == (2, True)
    assert dead(redis_url, "list", option, text).exit_code == 2
    assert left(redis_client) == letters


def test_id_that_two_partitions_have_needs_the_partition(redis_url: str, redis_client: Any) -> None:
    letters = [Partition("fota", number).dead("billing") for number in range(2)]
    for number, stream in enumerate(letters):
        redis_client.xgroup_create(
            Partition("fota", number).messages, "billing", "0", mkstream=True
        )
        for entry_id in ("1000-0", "2000-0"):
            redis_client.xadd(stream, {"error": "x", "kind": "unknown"}, id=entry_id)
    redis_client.xadd(letters[1], {"error": "x"}, id="3000-0")

    def act(*words: str) -> Any:
        return dead(redis_url, *words, "-g", "billing", QUEUE_PARTITIONS="2")

    for words in (("requeue",), ("drop", "--yes"), ("drop", "--dry-run")):
        both = act(*words, "3000-0", "1000-0")
        assert (both.exit_code, "add --partition" in both.stderr) == (2, True), both.output
    assert [redis_client.xlen(stream) for stream in letters] == [2, 3]
    assert act("drop", "1000-0", "3000-0", "--partition", "1", "--yes").exit_code == 0
    assert [redis_client.xlen(stream) for stream in letters] == [2, 1]
    missing = act("drop", "1000-0", "--partition", "1", "--yes")
    assert (missing.exit_code, "1000-0: there is no such" in missing.stderr) == (1, True)
    shown = listed(act("show", "2000-0", "--partition", "0", "--json"))
    assert [each["partition"] for each in shown] == [0]
    assert len(listed(act("show", "2000-0", "--json"))) == 2
    assert act("drop", "--all", "--partition", "0", "--yes").exit_code == 0
    assert [redis_client.xlen(stream) for stream in letters] == [0, 1]
    assert act("drop", "2000-0", "--partition", "2", "--yes").exit_code == 2


def test_letter_that_is_named_twice_counts_once(
    redis_url: str, redis_client: Any, letters: list[str]
) -> None:
    first, second, third = letters[:3]
    dry = dead(redis_url, "drop", "-g", "billing", first, first, "--dry-run")
    assert (dry.exit_code, dry.stdout.count("would be dropped")) == (0, 2)
    for command, names, status in (
        ("drop", (first, first), 0),
        ("requeue", (second, second), 0),
        ("drop", (third, first, third), 1),
    ):
        done = dead(redis_url, command, "-g", "billing", *names, "--yes")
        assert (done.exit_code, "1 dead letter" in done.stdout) == (status, True), done.output
    assert left(redis_client) == letters[3:]


@pytest.fixture
def refused(redis_client: Any) -> list[str]:
    """Two messages that pass now, and one that does not."""

    def add_refused(reason: str, data: str) -> str:
        fields = {"reason": reason, "data": data, "time": "2026-11-23T09:00:00.000000Z"}
        return str(redis_client.xadd(QUARANTINE, fields))

    good = [add_refused("account-refused", json.dumps(payload(number))) for number in range(2)]
    return [*good, add_refused("not-json", "{")]


def test_quarantine_is_counted_by_reason_and_chosen_by_it(
    redis_url: str, redis_client: Any, refused: list[str]
) -> None:
    counts = listed(run(redis_url, "quarantine", "list", "--by", "reason", "--json"))
    assert counts == [
        {"reason": "account-refused", "messages": 2},
        {"reason": "not-json", "messages": 1},
    ]
    assert "account-refused" in run(redis_url, "quarantine", "list", "--by", "reason").stdout
    only = listed(run(redis_url, "quarantine", "list", "--reason", "not-json", "--json"))
    assert [each["entry"] for each in only] == refused[2:]
    assert listed(run(redis_url, "quarantine", "list", "--since", "now", "--json")) == []
    dry = run(redis_url, "quarantine", "drop", "--reason", "not-json", "--dry-run")
    assert "1 refused message would be dropped" in dry.stdout
    assert run(redis_url, "quarantine", "drop", "--reason", "not-json", "--yes").exit_code == 0
    assert [entry_id for entry_id, _ in redis_client.xrange(QUARANTINE)] == refused[:2]


def test_replaying_what_nobody_named_asks_and_a_dry_run_only_validates(
    redis_url: str, redis_client: Any, refused: list[str]
) -> None:
    dry = run(redis_url, "quarantine", "replay", "--all", "--dry-run")
    assert (dry.exit_code, dry.stdout.count("would be queued")) == (1, 2)
    assert f"{refused[2]}: still refused" in dry.stderr
    alone = run(redis_url, "quarantine", "replay", "--all")
    assert (alone.exit_code, "add --yes" in alone.stderr) == (2, True)
    assert (redis_client.xlen(STREAM), redis_client.xlen(QUARANTINE)) == (0, 3)
    some = run(redis_url, "quarantine", "replay", "--reason", "account-refused", "--limit", "1", "--yes")  # fmt: skip
    assert (some.exit_code, redis_client.xlen(STREAM)) == (0, 1)
    assert run(redis_url, "quarantine", "replay", refused[1]).exit_code == 0
    assert run(redis_url, "quarantine", "replay", "--reason", "none", "--yes").exit_code == 0
    assert redis_client.xlen(QUARANTINE) == 1
    assert run(redis_url, "quarantine", "replay").exit_code == 2


@pytest.mark.parametrize("text", ["", " "])
@pytest.mark.parametrize("option", ["--reason", "--since"])
def test_empty_text_of_an_unset_variable_chooses_no_refused_message(
    redis_url: str, redis_client: Any, refused: list[str], option: str, text: str
) -> None:
    for command in ("replay", "drop"):
        for also in ((), ("--all",), ("--limit", "1")):
            result = run(redis_url, "quarantine", command, option, text, *also, "--yes")
            assert (result.exit_code, option in result.stderr) == (2, True)
    assert run(redis_url, "quarantine", "list", option, text).exit_code == 2
    assert (redis_client.xlen(STREAM), redis_client.xlen(QUARANTINE)) == (0, 3)


def test_exit_status_tells_whether_each_named_refused_message_was_there(
    redis_url: str, redis_client: Any, refused: list[str]
) -> None:
    first, second, third = refused

    def status(*words: str) -> int:
        return run(redis_url, "quarantine", *words).exit_code

    for command in ("drop", "replay"):
        assert status(command, "1-0", "--dry-run") == 1
        assert status(command, first, "1-0", "--dry-run") == 1
        assert status(command, first, first, "--dry-run") == 0
    assert status("replay", first, first) == 0
    assert status("drop", second, second, "--yes") == 0
    assert status("drop", third, second, "--yes") == 1
    assert redis_client.xlen(QUARANTINE) == 0
