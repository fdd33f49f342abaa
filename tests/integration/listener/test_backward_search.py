"""A search goes backwards in bounded steps, finds what the predicate wants, and continues where it stopped."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from listener.inspection.entry_filter import DeviceId, EntryFilter
from listener.inspection.pages import pages
from listener.inspection.search import backward_search
from listener.inspection.search.backward_search import (
    BackwardSearch,
    Limits,
    SearchesBusyError,
    SearchResult,
)
from listener.inspection.search.conditions import Position, Wanted
from listener.queue.keys import Partition, every_partition

pytestmark = pytest.mark.redis_flavour

DEVICE = "990013907835573"
ONE = every_partition("fota", 1)


def add(client: Any, entry_id: str, data: Any, partition: Partition = ONE[0], **fields: str) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    kept = {"kind": "upgrade-started", "subject": "u", "account": "a", **fields, "data": text}
    return str(client.xadd(partition.messages, kept, id=entry_id))


def of_device(text: str) -> Wanted:
    return Wanted(EntryFilter(device=DeviceId.read(text)))


def ids(result: SearchResult) -> list[str]:
    return [entry.entry_id for entry in result.entries]


def in_parts(client: Any, partitions: Any, wanted: Wanted, limits: Limits) -> Iterator[Any]:
    """Each result of a search that is continued to its end."""
    before: Position | None = None
    for _ in range(1000):
        result = BackwardSearch().run(client, partitions, wanted, before=before, limits=limits)
        yield result
        if result.stopped_at is None:
            return
        before = Position.read(str(result.stopped_at))
    pytest.fail("it does not end")


@pytest.mark.parametrize(
    "data",
    [
        {"deviceId": DEVICE},
        {"deviceId": "99-001390-783557-3"},
        {"deviceId": int(DEVICE)},
        {"deviceList": [{"deviceId": "1"}, {"deviceId": DEVICE}]},
        {"a": {"b": [{DEVICE: "failed"}]}},
        '{"deviceId": "\\u0039\\u0039001390783557\\u0033"}',
        '{"deviceId": "' + "".join(chr(0xFF10 + int(digit)) for digit in DEVICE) + '"}',
    ],
)  # fmt: skip
def test_a_device_is_found_however_the_message_spells_it(redis_client: Any, data: Any) -> None:
    add(redis_client, "1-0", {"deviceId": "990013907835574"})
    add(redis_client, "2-0", data)
    add(redis_client, "3-0", {"note": f"x{DEVICE}x", "url": "a\\b"})
    for text in (DEVICE, "IMEI 99-001390-783557-3"):
        result = BackwardSearch().run(redis_client, ONE, of_device(text))
        assert (ids(result), result.read, result.stopped_at) == (["2-0"], 3, None)


@pytest.mark.parametrize("upgrade", ["u/1", "…", "<b>", "60B5D639-CCDC", "ünï", "\u202e-", 'a"\\'])
def test_an_upgrade_is_found_by_its_whole_id_whatever_letters_it_has(
    redis_client: Any, upgrade: str
) -> None:
    add(redis_client, "1-0", {}, subject=upgrade)
    add(redis_client, "2-0", {}, subject=f"{upgrade}2x")
    add(redis_client, "3-0", {"list": ["60b5d639ccdc"]}, kind="unknown", subject="")
    found = ids(BackwardSearch().run(redis_client, ONE, Wanted(subject=upgrade)))
    assert found == (["3-0", "1-0"] if upgrade.startswith("60") else ["1-0"])


def test_conditions_are_joined(redis_client: Any) -> None:
    add(redis_client, "1-0", {"d": DEVICE}, kind="upgrade-finished", account="b", id="f1")
    add(redis_client, "2-0", {"d": DEVICE}, account="b")
    add(redis_client, "3-0", {"d": DEVICE}, kind="upgrade-finished")
    device = DeviceId.read(DEVICE)

    def found(wanted: Wanted) -> list[str]:
        return ids(BackwardSearch().run(redis_client, ONE, wanted))

    both = EntryFilter(("upgrade-finished", "unknown"), account="b", device=device)
    assert found(Wanted(both)) == ["1-0"]
    assert found(Wanted(EntryFilter(("upgrade-finished",), device=device))) == ["3-0", "1-0"]
    assert found(Wanted(message_id="f1")) == ["1-0"]
    assert found(Wanted(oldest="2-0")) == ["3-0", "2-0"]
    assert found(Wanted(EntryFilter(upgrade="u"))) == ["3-0", "2-0", "1-0"]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_searches_that_continue_each_other_find_each_entry_once_in_order(
    redis_client: Any, monkeypatch: pytest.MonkeyPatch, partitions: int, seed: int
) -> None:
    monkeypatch.setattr(backward_search, "STEP_ENTRIES", 7)
    chance = random.Random(seed)
    every = every_partition("fota", partitions)
    expected = []
    for time_ms in sorted(chance.sample(range(1, 400), 200)):
        # The same id in several partitions as well.
        for partition in every:
            if chance.random() < 0.6:
                is_wanted = chance.random() < 0.5
                add(redis_client, f"{time_ms}-0", {"d": DEVICE if is_wanted else "1"}, partition)
                if is_wanted:
                    expected.append((time_ms, 0, partition.number))
    limits = Limits(matches=chance.randint(1, 9), entries=chance.randint(1, 60))
    results = list(in_parts(redis_client, every, of_device(DEVICE), limits))
    found = [entry.order for result in results for entry in result.entries]
    assert found == sorted(expected, reverse=True)
    assert all(len(result.entries) <= limits.matches for result in results)
    assert len(results) > 3


def test_it_ends_in_time_with_what_it_has(redis_client: Any) -> None:
    for number in range(1, 501):
        add(redis_client, f"{number}-0", {"d": DEVICE if number == 500 else "1"})
    seconds, rests = iter(range(1000)), list[float]()
    search = BackwardSearch(clock=lambda: next(seconds), rest=rests.append)
    # It reads the clock three times a step.
    result = search.run(redis_client, ONE, of_device(DEVICE), limits=Limits(seconds=7))
    assert (ids(result), result.read) == (["500-0"], 200)
    assert str(result.stopped_at) == "301-0-0"
    assert rests == [backward_search.MAX_REST_S] * 2
    late = search.run(redis_client, ONE, of_device(DEVICE), limits=Limits(seconds=0))
    assert late.read == 100, (
        "a search that has no time makes one step, or nothing would ever be found"
    )


def test_a_step_takes_few_bytes_and_a_long_message_is_judged_by_its_text(redis_client: Any) -> None:
    filler = [{"deviceId": f"{number:015}"} for number in range(30_000)]
    for number in range(1, 5):
        add(redis_client, f"{number}-0", {"deviceList": [*filler, {"deviceId": DEVICE}]})
    result = BackwardSearch().run(redis_client, ONE, of_device(DEVICE))
    assert ids(result) == ["4-0", "3-0", "2-0", "1-0"]
    assert all(
        len(entry.fields["data"]) <= backward_search.MAX_VALUE_BYTES for entry in result.entries
    )
    assert ids(BackwardSearch().run(redis_client, ONE, of_device("123456789012345"))) == []


@pytest.mark.parametrize(
    "text", ["", "1", "1-1", "1-1-1-1", "-1-0-0", "a-0-0", "²-0-0", f"{2**64}-0-0"]
)
def test_a_position_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"position|greatest"):
        Position.read(text)


def test_an_empty_queue_has_nothing(redis_client: Any) -> None:
    result = BackwardSearch().run(redis_client, every_partition("fota", 3), of_device(DEVICE))
    assert (ids(result), result.read, result.stopped_at) == ([], 0, None)


@pytest.mark.parametrize("size", [10, 5_000, 200_000])
def test_messages_that_lie_among_longer_ones_are_all_read_once(
    redis_client: Any, size: int
) -> None:
    chance = random.Random(size)
    for number in range(1, 301):
        filler = "x" * (size if chance.random() < 0.1 else 50)
        add(redis_client, f"{number}-0", {"d": DEVICE if number % 50 == 0 else "1", "f": filler})
    result = BackwardSearch(rest=lambda _: None).run(redis_client, ONE, of_device(DEVICE))
    assert ids(result) == [f"{number}-0" for number in (300, 250, 200, 150, 100, 50)]
    assert (result.read, result.stopped_at) == (300, None)


def test_entries_are_handed_on_while_they_are_found(redis_client: Any) -> None:
    for number in range(1, 351):
        add(redis_client, f"{number}-0", {})
    batches: list[list[str]] = []
    result = BackwardSearch().run(
        redis_client,
        ONE,
        Wanted(),
        limits=Limits(matches=1),
        take=lambda entries: batches.append([entry.entry_id for entry in entries]),
    )
    assert (result.entries, result.read, result.stopped_at) == ([], 350, None)
    found = [entry_id for batch in batches for entry_id in batch]
    assert found == [f"{number}-0" for number in range(350, 0, -1)]
    assert max(map(len, batches)) == backward_search.STEP_ENTRIES


def test_a_process_runs_few_searches_at_once_and_refuses_the_next(
    redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backward_search, "MAX_RUNNING", 1)
    add(redis_client, "1-0", {})
    search = BackwardSearch(max_wait_s=0.01)

    def search_again(_: Any) -> None:
        search.run(redis_client, ONE, Wanted())

    with pytest.raises(SearchesBusyError):
        search.run(redis_client, ONE, Wanted(), take=search_again)
    assert search.run(redis_client, ONE, Wanted()).read == 1, (
        "a search that failed gave its place up"
    )


def test_redis_is_not_asked_for_what_is_before_the_first_entry(redis_client: Any) -> None:
    # Redis would walk through the whole stream for it, from its end, and serve nobody meanwhile.
    for number in range(5, 8):
        add(redis_client, f"{number}-0", {})
    redis_client.config_resetstat()
    for before in (Position(5, 0), Position(4, 9), Position(0, 1)):
        result = BackwardSearch().run(redis_client, ONE, Wanted(), before=before)
        assert (result.read, result.stopped_at) == (0, None)
    assert "cmdstat_xrevrange" not in redis_client.info("commandstats")
    whole = BackwardSearch().run(redis_client, ONE, Wanted())
    assert ids(whole) == ["7-0", "6-0", "5-0"]
    # Of one entry, and of the two that are left.
    assert redis_client.info("commandstats")["cmdstat_xrevrange"]["calls"] == 2


def test_redis_is_not_asked_for_a_page_before_the_first_entry(redis_client: Any) -> None:
    added = [add(redis_client, f"{number}-0", {}) for number in range(5, 8)]
    redis_client.config_resetstat()
    stream = ONE[0].messages
    assert list(pages(redis_client, stream, "(5-0", "-", newest_first=True)) == []
    assert "cmdstat_xrevrange" not in redis_client.info("commandstats")
    [page] = pages(redis_client, stream, "+", "-", newest_first=True)
    assert [entry.entry_id for entry in page.entries] == added[::-1]
    assert redis_client.info("commandstats")["cmdstat_xrevrange"]["calls"] == len(added)
