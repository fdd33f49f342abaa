"""Where the provider's pages disagree: each option changes the reports as it says."""

from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from sandbox.__main__ import main
from tests.support.sandbox_caller import Caller

V3 = {"sdk": "/reports/A/firmware/campaigns", "pages": "/reports/A/campaigns"}
ENDED = "?campaignStatus=CampaignEnded"


@pytest.fixture
def caller() -> Caller:
    return Caller().authorize()


def queued(caller: Caller, word: str) -> TestResponse:
    return caller.get("v3", f"{V3['sdk']}?campaignStatus={word}")


@pytest.mark.parametrize(
    ("chosen", "other", "sdk", "pages"),
    [
        ("sdk", "900906", 200, (400, 900906)),
        ("sdk", "404", 200, (404, 900906)),
        ("pages", "900906", (400, 900906), 200),
        ("both", "404", 200, 200),
    ],
)
def test_the_list_of_v3_campaigns_has_either_path_or_both(
    caller: Caller, chosen: str, other: str, sdk: Any, pages: Any
) -> None:
    caller.options(v3_campaigns_path=chosen, v3_other_path=other)
    for path, expected in (("sdk", sdk), ("pages", pages)):
        answer = caller.get("v3", V3[path] + ENDED)
        if expected == 200:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.get_json()["fault"]["code"]) == expected


def test_queued_has_two_spellings_in_v3(caller: Caller) -> None:
    (campaign,) = caller.ids(caller.campaigns(version="v3", states={"CampaignQueued": 1}))
    sdk, pages = "CampaignRequestQueued", "CampaignQueued"
    for query, good, bad in (
        (sdk, [sdk], [pages]),
        (pages, [pages], [sdk]),
        ("both", [sdk, pages], []),
    ):
        caller.options(v3_queued_query=query)
        assert [len(queued(caller, word).get_json()["campaignList"]) for word in good] == [1] * len(
            good
        )
        assert [queued(caller, word).status_code for word in bad] == [400] * len(bad)
    for word in (sdk, pages):
        caller.options(v3_queued=word)
        assert caller.read("v3", f"/campaigns/A/{campaign}")["status"] == word


def test_a_pre_scheduled_campaign_is_seen_by_its_id_alone_unless_lists_show_it(
    caller: Caller,
) -> None:
    states = {"CampaignPreScheduled": 1}
    (campaign,) = caller.ids(caller.campaigns(version="v3", states=states))
    assert caller.read("v3", f"/campaigns/A/{campaign}")["status"] == "CampaignPreScheduled"
    assert queued(caller, "CampaignPreScheduled").status_code == 400
    for state in ("CampaignRequestQueued", "CampaignScheduled", "CampaignRequestPending"):
        assert queued(caller, state).get_json()["campaignList"] == []
    caller.options(pre_scheduled="listed")
    (listed,) = queued(caller, "CampaignPreScheduled").get_json()["campaignList"]
    assert listed["id"] == campaign


@pytest.mark.parametrize(
    ("form", "status", "v1", "bare"),
    [
        ("list", 200, '{"hasMoreFlag": false, "lastSeenUpgradeId": 0, "reportList": []}', "[]"),
        ("null", 200, '{"hasMoreFlag": false, "lastSeenUpgradeId": 0, "reportList": null}', "null"),
        ("absent", 200, '{"hasMoreFlag": false, "lastSeenUpgradeId": 0}', "null"),
        ("object", 200, "{}", "{}"),
        ("null-body", 200, "null", "null"),
        ("zero-bytes", 200, "", ""),
        ("no-content", 204, "", ""),
        ("error", 400, None, None),
    ],
)
def test_an_empty_result_has_many_forms(
    caller: Caller, form: str, status: int, v1: str | None, bare: str | None
) -> None:
    caller.options(empty=form)
    for path, expected in (("/reports/A/status/Queued/index/0", v1), ("/firmware/A", bare)):
        answer = caller.get("v1", path)
        assert answer.status_code == status
        if expected is None:
            assert answer.get_json()["errorCode"] == "INVALID_PARAMETER"
        else:
            assert answer.get_data(as_text=True) == expected


def walk(caller: Caller, version: str, path: str, more: str, last: str) -> list[Any]:
    """The cursors of all pages; `path` has a place for the cursor."""
    cursors: list[Any] = []
    cursor: Any = "0"
    for _ in range(10):
        page = caller.read(version, path.format(cursor))
        cursor = page.get(last)
        cursors.append(cursor)
        if not page[more]:
            break
    return cursors


@pytest.mark.parametrize(
    ("form", "upgrades", "devices"),
    [
        ("documented", [2, 3], [990000000000002, 990000000000003]),
        ("integer", [2, 3], [990000000000002, 990000000000003]),
        ("text", ["2", "3"], ["990000000000002", "990000000000003"]),
    ],
)
def test_v1_cursors_are_numbers_or_text(
    caller: Caller, form: str, upgrades: list[Any], devices: list[Any]
) -> None:
    caller.campaigns(devices=3, upgrades=3, states={"Finished": 1})
    caller.options(cursors=form, upgrades_per_page=2, devices_per_page=2)
    names = ("hasMoreFlag", "lastSeenUpgradeId")
    assert walk(caller, "v1", "/reports/A/status/Finished/index/{}", *names) == upgrades
    assert walk(caller, "v1", "/devices/A/index/{}", "hasMoreData", "lastSeenDeviceId") == devices


@pytest.mark.parametrize("form", ["documented", "integer", "text"])
def test_v2_cursors_are_ids_or_record_numbers(caller: Caller, form: str) -> None:
    made = caller.campaigns(version="v2", devices=3, upgrades=3, states={"CampaignEnded": 1})
    caller.options(cursors=form, campaigns_per_page=2)
    path = f"/reports/A/campaigns{ENDED}&lastSeenCampaignId={{}}"
    cursors = walk(caller, "v2", path, "hasMoreData", "lastSeenCampaignId")
    ids = sorted(caller.ids(made))
    assert cursors == ([2, 3] if form == "integer" else ids[1:])


@pytest.mark.parametrize(("form", "expected"), [("item", 2), ("zero", 0), ("absent", None)])
def test_the_cursor_of_a_last_page_has_three_forms(
    caller: Caller, form: str, expected: int | None
) -> None:
    caller.campaigns(devices=2, upgrades=2, states={"Finished": 1})
    caller.options(last_cursor=form)
    page = caller.read("v1", "/reports/A/status/Finished/index/0")
    assert page.get("lastSeenUpgradeId") == expected
    assert ("lastSeenUpgradeId" in page) == (expected is not None)


@pytest.mark.parametrize(
    ("version", "path", "more", "last"),
    [
        ("v1", "/reports/A/status/Finished/index/{}", "hasMoreFlag", "lastSeenUpgradeId"),
        ("v1", "/devices/A/index/{}", "hasMoreData", "lastSeenDeviceId"),
        ("v2", "/devices/A?lastSeenDeviceId={}", "hasMoreData", "lastSeenDeviceId"),
        (
            "v2",
            f"/reports/A/campaigns{ENDED}&lastSeenCampaignId={{}}",
            "hasMoreData",
            "lastSeenCampaignId",
        ),
    ],
)
def test_a_cursor_can_stand_still(
    caller: Caller, version: str, path: str, more: str, last: str
) -> None:
    state = "Finished" if version == "v1" else "CampaignEnded"
    caller.campaigns(version=version, devices=2, states={state: 1})
    caller.options(cursor_stands_still=True)
    assert walk(caller, version, path, more, last) == ["0"] * 10


def test_every_nth_call_is_throttled(caller: Caller) -> None:
    caller.options(throttle_every=3, retry_after="7")
    answers = [caller.get("v1", "/firmware/A") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200, 200, 429] * 2
    assert answers[2].headers["Retry-After"] == "7"


def test_an_upgrade_expires_after_six_months_in_v1_alone(caller: Caller) -> None:
    wanted = {"devices": 4, "upgrades": 4, "age_days": 365}
    old = caller.ids(caller.campaigns(states={"Finished": 1}, **wanted))
    caller.campaigns(version="v2", states={"CampaignEnded": 1}, **wanted)
    listed = caller.read("v1", "/reports/A/status/Finished/index/0")["reportList"]
    assert [each["id"] for each in listed] == old[-2:]
    assert caller.get("v1", f"/upgrades/A/upgrade/{old[0]}").status_code == 400
    assert caller.read("v1", "/reports/A/devices/990000000000001") == []
    assert len(caller.read("v2", f"/reports/A/campaigns{ENDED}")["campaignList"]) == 4
    caller.options(history_days=183, v1_history_days=0)
    assert len(caller.read("v2", f"/reports/A/campaigns{ENDED}")["campaignList"]) == 2
    assert len(caller.read("v1", "/reports/A/status/Finished/index/0")["reportList"]) == 4


def test_small_differences_of_the_pages_can_be_chosen(caller: Caller) -> None:
    (upgrade_id,) = caller.ids(caller.campaigns(states={"Queued": 1}))
    caller.campaigns(version="v2")
    caller.options(v1_end_date=False, v2_software_member="software", beyond_end="empty")
    assert "endDate" not in caller.read("v1", f"/upgrades/A/upgrade/{upgrade_id}")
    assert "software" in caller.read("v2", "/software/A")[0]
    assert caller.read("v1", "/reports/A/status/Queued/index/9")["reportList"] == []


def test_options_are_shown_changed_and_reset(caller: Caller) -> None:
    before = caller.control("GET", "/options")
    assert set(before["choices"]["empty"]) >= {"null", "absent", "no-content"}
    assert caller.control("PUT", "/options", {"empty": "null"})["options"]["empty"] == "null"
    assert caller.control("DELETE", "/options")["options"] == before["options"]


@pytest.mark.parametrize(
    "changes",
    [
        {"nonsense": 1},
        {"empty": "nothing"},
        {"devices_per_page": 0},
        {"delay_s": -1},
        {"delay_s": float("nan")},
        {"retry_after": "1\r\nX: y"},
        {"scheduled_failures": 0.6, "scheduled_rejections": 0.6},
    ],
)
def test_a_wrong_option_changes_nothing(caller: Caller, changes: dict[str, Any]) -> None:
    before = caller.control("GET", "/options")
    answer = caller("PUT", "/sandbox/options", {"cursors": "text", **changes})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "Not options.")
    assert caller.control("GET", "/options") == before


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["bogus=1"], "Unknown field"),
        (["empty"], "NAME=VALUE"),
        (["empty=null", "empty=list"], "no name comes twice"),
        (["empty=nothing"], "Must be one of"),
        (["devices_per_page=0"], "devices_per_page"),
    ],
)
def test_the_command_refuses_a_wrong_option(values: list[str], says: str) -> None:
    arguments = [f"--option={value}" for value in values]
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 2
    assert says in ended.output
