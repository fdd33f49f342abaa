"""A sweep whose lists were not all read is no baseline, and what lies before one is never called missing."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from registrar.errors import RegistrarError
from registrar.http.reply import Reply
from registrar.model import Slot
from registrar.recovery.judging.look import EvidenceReader, Looker
from registrar.recovery.judging.recoverer import Recoverer
from registrar.recovery.records.slot_record import SlotRecord
from registrar.recovery.sweep import SlotSweep
from registrar.recovery.sweep_tools import Tools
from registrar.thingspace.requests import Call
from registrar.turn import Turn
from tests.support.recovery_world import ACCOUNT, DAY, DISTANCE, MINUTE, Index, Queue, World

LAST = {"v1": "Finished", "v2": "CampaignEnded", "v3": "CampaignEnded"}
Lists = Mapping[str, Sequence[str]]
Refusing = Callable[[str, int], Reply | None]


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


class Lister:
    """ThingSpace's lists by state, in pages of two; some are refused."""

    def __init__(self, lists: Lists, refusing: Refusing, start_date: str) -> None:
        self._lists = lists
        self._refusing = refusing
        self._start_date = start_date
        self.calls = 0
        self.status = ""
        self.page_size = 2

    def fetch(self, call: Call, read: Callable[[Reply], Any], turn: Turn) -> Any:
        del turn
        self.calls += 1
        if call.name != "reports":
            return read(Reply(204))
        url = urlsplit(call.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        words = url.path.split("/")
        status = query.get("campaignStatus") or words[6]
        begin = int(query["lastSeenCampaignId"] if query else words[8])
        return read(self._refusing(status, begin) or self._page(status, begin))

    def _page(self, status: str, begin: int) -> Reply:
        found = self._lists.get(status, ())
        end = min(begin + self.page_size, len(found))
        said = {"startDate": self._start_date, "status": self.status}
        items = [{"id": each, **said} for each in found[begin:end]]
        more = {"hasMoreFlag": end < len(found), "lastSeenUpgradeId": end}
        return reply(200, {**more, "reportList": items})


def reply(status: int, content: object) -> Reply:
    return Reply(status, json.dumps(content).encode())


def refusal(status: int, message: str) -> Reply:
    return reply(status, {"errorCode": "INVALID_PARAMETER", "errorMessage": message})


GATEWAY = reply(404, {"fault": {"code": 900906, "message": "No matching resource found"}})


class Account:
    """One account, one version, and what was lost there."""

    def __init__(self, version: str = "v1") -> None:
        self.world = World(Random(1), version, names_devices=False)
        self.slot = Slot(ACCOUNT, version)
        self.calls = 0

    @property
    def record(self) -> SlotRecord:
        return self.world.store.slot(self.slot)

    def sweep(
        self,
        lists: Lists,
        refusing: Refusing = lambda *_: None,
        *,
        start_date: str = "",
        since_ms: int | None = None,
        max_calls: int = 10_000,
        **answers: Any,
    ) -> str:
        """Sweeps; why it failed, empty: it did not. `answers` are attributes of the `Lister`."""
        evidence, recoverer = EvidenceReader(Index(self.world)), Recoverer(Queue(self.world))
        client: Any = Lister(lists, refusing, start_date)
        vars(client).update(answers)
        tools = Tools(
            store=self.world.store,
            client=client,
            turn=Turn(sleep=lambda _: False),
            evidence=evidence,
            recoverer=recoverer,
            looker=Looker(evidence, recoverer),
            clock_ms=lambda: self.world.now,
            max_calls=max_calls,
            on_position=lambda _: None,
        )
        distance_ms = DISTANCE[self.slot.version]
        try:
            SlotSweep(
                self.slot, tools, cause="interval", distance_ms=distance_ms, since_ms=since_ms
            ).run()
        except RegistrarError as error:
            return error.reason
        finally:
            self.calls = client.calls
        return ""

    def two_looks(self, lists: Lists, **more: Any) -> int:
        """How many messages they find missing, and queue."""
        before = len(self.world.recovered)
        for _ in range(2):
            self.world.now += DAY + MINUTE
            assert not self.sweep(lists, **more)
        return len(self.world.recovered) - before


def ids(count: int, first: int = 0) -> list[str]:
    return [f"60b5d639-ccdc-4db8-8824-{number:012d}" for number in range(first, first + count)]


NOT_READ: dict[str, tuple[int, Reply]] = {
    "a 404 on a further page": (2, Reply(404, b"<html>not found</html>")),
    "a 403 on a further page": (2, Reply(403, b"waf")),
    "a 400 on a further page": (4, refusal(400, "SYSTEM busy")),
    "a 400 for the state": (0, refusal(400, "Invalid status")),
    "a 400 that says nothing": (0, Reply(400)),
    "a 403 for the state": (0, Reply(403)),
    "a 404 for the state": (0, Reply(404)),
}


@pytest.mark.parametrize("version", LAST)
@pytest.mark.parametrize("name", NOT_READ)
def test_history_is_not_missing_whatever_was_refused_at_the_first_sweep(
    name: str, version: str
) -> None:
    account, history = Account(version), {LAST[version]: ids(40)}
    at, answer = NOT_READ[name]
    account.sweep(history, lambda status, b: answer if (status, b) == (LAST[version], at) else None)
    assert account.record.baseline_ms == 0
    assert account.two_looks(history) == 0
    assert account.record.baseline_ms


@pytest.mark.parametrize(
    "message", ["Index exceeds number of devices in list", "Invalid index value"]
)
def test_index_beyond_the_end_ends_a_list(message: str) -> None:
    account, lists = Account(), {"Finished": ids(4)}
    assert not account.sweep(lists, lambda _, begin: refusal(400, message) if begin else None)
    assert account.record.baseline_ms


def test_upgrade_that_the_baseline_did_not_see_and_that_is_older_is_set_aside() -> None:
    """A list that shifts between two pages hides one; a state that no list has hides some."""
    account = Account()
    assert not account.sweep({})
    assert account.two_looks({"Finished": ids(3)}, start_date="2026-11-01") == 0
    later = {"Finished": ids(1, first=9)}
    assert account.two_looks(later, start_date="2027-01-15") == 3


EMPTY = {
    "a 404": Reply(404),
    "a 404 with words": reply(
        404, {"errorCode": "NOT_FOUND", "errorMessage": "No campaigns found"}
    ),
    "a 400 that names the account": refusal(400, "No upgrades for this account"),
    "a 400": refusal(400, "No records found"),
}


@pytest.mark.parametrize("version", LAST)
@pytest.mark.parametrize("name", EMPTY)
def test_account_without_campaigns_is_swept_without_a_problem(name: str, version: str) -> None:
    account = Account(version)
    assert not account.sweep({}, lambda *_: EMPTY[name])
    assert account.record.swept_ms
    # A bare 404 may also come from a path that is wrong.
    assert bool(account.record.baseline_ms) == (name != "a 404")


def test_path_that_the_gateway_does_not_know_is_no_empty_list() -> None:
    account = Account()
    for _ in range(2):
        assert account.sweep({}, lambda *_: GATEWAY) == "no-such-path"
        account.world.now += 15 * MINUTE
    assert account.record.swept_ms == 0


def test_refusal_of_a_state_that_proves_nothing_keeps_no_baseline_from_being_set() -> None:
    account = Account()
    refused = refusal(400, "Invalid status")
    assert not account.sweep({}, lambda status, _: refused if status == "RequestFailed" else None)
    assert account.record.baseline_ms


@pytest.mark.parametrize("version", LAST)
def test_what_happened_during_a_long_pause_is_set_aside(version: str) -> None:
    account = Account(version)
    assert not account.sweep({})
    assert account.two_looks({LAST[version]: ids(1)}) > 0
    account.world.now += 60 * DAY
    assert account.two_looks({LAST[version]: ids(9)}) == 0
    assert account.two_looks({LAST[version]: ids(10)}) > 0


def test_what_happened_during_a_long_pause_is_judged_if_somebody_asks() -> None:
    account = Account()
    assert not account.sweep({})
    account.world.now += 60 * DAY
    lists = {"Finished": ids(2)}
    assert (
        account.two_looks(lists, start_date="2027-02-20", since_ms=account.world.now - 30 * DAY)
        == 6
    )


def test_pause_of_some_days_is_no_reason_for_a_baseline() -> None:
    account = Account()
    assert not account.sweep({})
    account.world.now += 5 * DAY
    assert account.two_looks({"Finished": ids(1)}) == 3


def test_doubt_before_a_long_pause_stays_a_doubt() -> None:
    """Its first look found nothing; the message came before the pause ended."""
    account = Account()
    assert not account.sweep({})
    account.world.now += DAY
    assert not account.sweep({"Queued": ids(1)})
    account.world.evidence[ids(1)[0]] = {("upgrade-scheduled", None)}
    account.world.now += 60 * DAY
    assert account.two_looks({"Queued": ids(1)}) == 0


@pytest.mark.parametrize("word", ["finished", "Upgrade Finished", "done", "", "  "])
def test_state_of_an_upgrade_whose_word_is_no_state_is_that_of_its_list(word: str) -> None:
    account = Account()
    assert not account.sweep({})
    assert account.two_looks({"Finished": ids(1)}, status=word) == 3


@pytest.mark.parametrize(
    ("version", "listed", "word"),
    [
        ("v1", "Finished", "UpgradeFailed"),
        ("v2", "CampaignEnded", "CampaignCancelled"),
        ("v3", "CampaignScheduled", "CampaignPreScheduled"),
    ],
)
def test_upgrade_that_says_another_state_than_its_list_is_believed(
    version: str, listed: str, word: str
) -> None:
    account = Account(version)
    assert not account.sweep({})
    assert account.two_looks({listed: ids(1)}, status=word) == 0


def test_cap_of_calls_holds_within_a_page_of_campaigns_and_the_sweep_comes_to_its_end() -> None:
    """Each campaign of v3 costs a call for its devices."""
    account, lists = Account("v3"), {"CampaignScheduled": ids(90)}
    runs = []
    while account.sweep(lists, page_size=100, max_calls=10) == "capped":
        runs.append(account.calls)
        account.world.now += MINUTE
        assert len(runs) < 30
    assert max(runs) <= 10
    assert account.record.upgrades == 90
