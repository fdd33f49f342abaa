"""Upgrades that run their course on a clock in the test's hands: what they report, and which callbacks they send."""

from collections import Counter
from typing import Any

import pytest

from sandbox.accounts.registrations import Login, Registration
from sandbox.campaigns.stages import Stage, course
from sandbox.campaigns.upgrade import Plan, Upgrade
from sandbox.courses import callbacks
from sandbox.delivery.deliveries import Deliveries
from sandbox.delivery.losses import Loss
from sandbox.provider_facts import EXAMPLE_PACKAGES, Version
from tests.support.sandbox_caller import ACCOUNT, Caller

V1_BODY = {
    "accountName": ACCOUNT,
    "firmwareName": "F",
    "firmwareTo": "2",
    "startDate": "2018-04-01",
    "endDate": "2018-04-05",
    "deviceList": ["990003425730535", "990000473475989"],
}
V2_BODY = {
    "campaignName": "C",
    "softwareName": "S",
    "softwareFrom": "1",
    "softwareTo": "2",
    "distributionType": "HTTP",
    "startDate": "2020-08-21",
    "endDate": "2020-08-22",
    "downloadTimeWindowList": [{"startTime": 20, "endTime": 21}],
    "deviceList": ["990013907835573", "990013907884259"],
}
V3_BODY = {
    "campaignName": "C",
    "firmwareName": "F",
    "firmwareFrom": "1",
    "firmwareTo": "2",
    "protocol": "LWM2M",
    "startDate": "2021-09-29",
    "endDate": "2021-10-01",
    "campaignTimeWindowList": [{"startTime": 18, "endTime": 22}],
    "autoAssignLicenseFlag": False,
    "autoAddDevicesFlag": False,
    "deviceList": ["15" * 7 + "1"],
}
SCHEDULED = [
    ("v1", "/upgrades", V1_BODY),
    ("v1", f"/upgrades/{ACCOUNT}", V1_BODY),
    ("v2", f"/campaigns/{ACCOUNT}", V2_BODY),
    ("v2", f"/campaigns/software/{ACCOUNT}", V2_BODY),
    ("v3", f"/campaigns/firmware/{ACCOUNT}", V3_BODY),
]


@pytest.fixture
def caller() -> Caller:
    return Caller().authorize()


def status(caller: Caller, version: str, upgrade_id: str) -> str:
    path = "/upgrades/A/upgrade/" if version == "v1" else "/campaigns/A/"
    found: str = caller.read(version, path + upgrade_id)["status"]
    return found


def an_upgrade(version: Version, devices: int = 2, end: Stage = Stage.DONE, **more: Any) -> Upgrade:
    more = {"envelope": "v1" if version == "v1" else "campaign", **more}
    plan = Plan(version, ACCOUNT, EXAMPLE_PACKAGES[version], **more)
    return Upgrade(plan, 0, "id", 0.0, [f"{number:015}" for number in range(devices)], end)


def all_events(upgrade: Upgrade) -> list[tuple[float, str, int | None]]:
    return [(each.position, each.kind, each.device) for each in callbacks.events(upgrade)]


@pytest.mark.parametrize(
    ("version", "end", "stages"),
    [
        ("v1", Stage.DONE, ["pending", "queued", "under way", "done"]),
        ("v1", Stage.REQUEST_FAILED, ["pending", "request failed"]),
        ("v1", Stage.FAILED, ["pending", "queued", "failed"]),
        ("v2", Stage.DONE, ["pending", "queued", "under way", "done"]),
        ("v2", Stage.ABORTED, ["pending", "queued", "under way", "aborted"]),
        ("v2", Stage.CANCELLED, ["pending", "queued", "cancelled"]),
        ("v3", Stage.DONE, ["pending", "queued", "pre-scheduled", "under way", "done"]),
    ],
)
def test_a_course_has_its_stages_in_order(version: Version, end: Stage, stages: list[str]) -> None:
    found = course(version, end, 5)
    assert [stage.value for _, stage in found] == stages
    positions = [at for at, _ in found]
    assert positions == sorted(set(positions))


@pytest.mark.parametrize(("version", "path", "body"), SCHEDULED)
def test_a_scheduled_upgrade_goes_from_pending_to_its_end(
    caller: Caller, version: str, path: str, body: dict[str, Any]
) -> None:
    answer = caller("POST", f"/api/fota/{version}{path}", body)
    upgrade = answer.get_json()
    assert (answer.status_code, upgrade["accountName"]) == (200, ACCOUNT)
    shown = {name: value for name, value in body.items() if name != "deviceList"}
    shown.pop("accountName", None)
    assert upgrade.items() >= shown.items()
    seen = [upgrade["status"]]
    for _ in range(20):
        caller.now += 0.5
        seen.append(status(caller, version, upgrade["id"]))
    words = {
        "v1": ["RequestPending", "Queued", "InProgress", "Finished"],
        "v2": [
            "CampaignRequestPending",
            "CampaignRequestQueued",
            "CampaignScheduled",
            "CampaignEnded",
        ],
        "v3": [
            "CampaignRequestPending",
            "CampaignRequestQueued",
            "CampaignPreScheduled",
            "CampaignScheduled",
        ],
    }
    assert list(dict.fromkeys(seen))[: len(words[version])] == words[version]
    devices = body["deviceList"]
    assert caller.read(version, f"/reports/A/devices/{devices[0]}")


def test_v1_devices_go_from_pending_to_their_end(caller: Caller) -> None:
    upgrade = caller("POST", "/api/fota/v1/upgrades", V1_BODY).get_json()
    assert upgrade["deviceList"] == [
        {"deviceId": device, "status": "RequestPending"} for device in sorted(V1_BODY["deviceList"])
    ]
    caller.now += 5.5
    found = caller.read("v1", f"/upgrades/A/upgrade/{upgrade['id']}")["deviceList"]
    assert [each["status"] for each in found] == ["UpgradeSuccess", "Device Accepted"]
    caller.options(v1_results_late_s=86_400)
    found = caller.read("v1", f"/upgrades/A/upgrade/{upgrade['id']}")["deviceList"]
    assert {each["status"] for each in found} == {"RequestPending"}


def test_a_campaign_for_a_file_names_the_file(caller: Caller) -> None:
    body = {"fileName": "c.txt", "fileVersion": "1.0", "startDate": "d", "endDate": "e"}
    body["deviceList"] = ["990013907835573"]  # type: ignore[assignment]
    made = caller("POST", f"/api/fota/v2/campaigns/files/{ACCOUNT}", body).get_json()
    found = caller.read("v2", f"/campaigns/A/{made['id']}")
    assert (found["fileName"], found["fileVersion"]) == ("c.txt", "1.0")
    assert "softwareName" not in found


@pytest.mark.parametrize(
    "change",
    [
        {"deviceList": []},
        {"deviceList": None},
        {"deviceList": ["12"]},
        {"deviceList": [990003425730535]},
        {"firmwareName": None},
        {"startDate": 5},
        {"endDate": ""},
        {"accountName": "0000000000-00000"},
    ],
)
def test_a_wrong_request_for_an_upgrade_is_refused(caller: Caller, change: dict[str, Any]) -> None:
    answer = caller("POST", "/api/fota/v1/upgrades", {**V1_BODY, **change})
    assert (answer.status_code, answer.get_json()["errorCode"]) == (400, "INVALID_PARAMETER")
    assert caller.control("GET", "/campaigns") == {"campaigns": []}


@pytest.mark.parametrize(("version", "path", "body"), SCHEDULED)
def test_an_upgrade_can_be_cancelled_until_it_has_started(
    caller: Caller, version: str, path: str, body: dict[str, Any]
) -> None:
    first, second = (
        caller("POST", f"/api/fota/{version}{path}", body).get_json()["id"] for _ in range(2)
    )
    place = "upgrades/{}/upgrade/{}" if version == "v1" else "campaigns/{}/{}"
    cancel = f"/api/fota/{version}/{place}"
    caller.now += 1.5
    answer = caller("DELETE", cancel.format(ACCOUNT, first))
    assert (answer.status_code, answer.get_json()) == (200, {"success": True})
    caller.now += 2
    assert caller("DELETE", cancel.format(ACCOUNT, second)).status_code == 400
    assert caller("DELETE", cancel.format(ACCOUNT, first)).status_code == 400
    assert caller("DELETE", cancel.format(ACCOUNT, "unknown")).status_code == 400
    if version == "v1":
        assert caller.get("v1", f"/upgrades/A/upgrade/{first}").status_code == 400
    else:
        assert status(caller, version, first) == "CampaignCancelled"
    caller.state.runner.run_due()
    about = Counter(each["upgrade"] for each in caller.state.deliveries.listing())
    assert about[first] <= 1 < about[second]


def test_v1_callbacks_are_one_for_the_schedule_and_two_for_each_device() -> None:
    assert all_events(an_upgrade("v1")) == [
        (1.0, "scheduled", None),
        (2.0, "started", 0),
        (3.0, "started", 1),
        (5.0, "finished", 0),
        (6.0, "finished", 1),
    ]


def test_callbacks_can_be_of_the_whole_upgrade_or_none() -> None:
    assert all_events(an_upgrade("v1", callbacks="upgrade", announce=True)) == [
        (0.0, "available", None),
        (1.0, "scheduled", None),
        (2.0, "started", None),
        (7.0, "finished", None),
    ]
    assert all_events(an_upgrade("v2", callbacks="upgrade")) == [
        (2.0, "scheduled", None),
        (7.0, "finished", None),
    ]
    assert all_events(an_upgrade("v1", callbacks="none")) == []


def test_what_failed_at_its_beginning_raises_no_callback_for_a_device() -> None:
    assert all_events(an_upgrade("v1", end=Stage.REQUEST_FAILED)) == []
    assert all_events(an_upgrade("v1", end=Stage.FAILED)) == [(1.0, "scheduled", None)]
    assert all_events(an_upgrade("v2", end=Stage.CANCELLED)) == []
    kinds = Counter(kind for _, kind, _ in all_events(an_upgrade("v2", 20, Stage.ABORTED)))
    assert kinds == {"scheduled": 1, "started": 10, "finished": 8}
    rejected = an_upgrade("v1", 20, rejections=1.0)
    assert all_events(rejected) == [(1.0, "scheduled", None)]


def test_the_messages_of_v1_have_its_envelope() -> None:
    upgrade = an_upgrade("v1", announce=True)
    found = [callbacks.message(upgrade, each) for each in callbacks.events(upgrade)]
    assert [each["type"] for each in found] == [
        *("firmwareList", "upgradeScheduled", "upgradeProgress"),
        *("upgradeProgress", "upgradeFinished", "upgradeFinished"),
    ]
    assert found[0]["firmwareList"][0]["participantName"] == ACCOUNT
    scheduled = found[1]["upgradeScheduled"]
    assert (scheduled["upgradeId"], len(scheduled["deviceList"])) == ("id", 2)
    finished = found[-1]["upgradeFinished"]
    assert (finished["deviceId"], finished["status"]) == ("000000000000001", "UpgradeSuccess")
    assert not {"username", "password"} & set(found[0])


@pytest.mark.parametrize("pace_s", [0.001, 0.02, 0.1, 1 / 3, 7.7])
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_a_message_shows_its_own_moment_whatever_the_time_is_rounded_to(
    version: Version, pace_s: float
) -> None:
    upgrade = an_upgrade(version, 5, pace_s=pace_s, callbacks="devices", envelope="campaign")
    upgrade.created = 1_795_955_000.123
    found = [callbacks.message(upgrade, each) for each in callbacks.events(upgrade)]
    words = [each["status"] for each in found if "deviceId" not in each]
    begin = {"v1": "Queued"}.get(version, "CampaignScheduled")
    assert words == [begin, {"v1": "Finished"}.get(version, "CampaignEnded")]
    assert [each["status"] for each in found].count("UpgradeSuccess") == 5


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_the_messages_of_v2_and_v3_name_campaign_and_status(version: Version) -> None:
    upgrade = an_upgrade(version, failures=1.0)
    found = [callbacks.message(upgrade, each) for each in callbacks.events(upgrade)]
    assert {each["campaignId"] for each in found} == {"id"}
    assert [each["status"] for each in found if "deviceId" not in each] == [
        "CampaignScheduled",
        "CampaignEnded",
    ]
    assert [each["status"] for each in found if "reason" in each][-1] == "UpgradeFailed"


def test_a_message_names_a_hundred_devices_at_most() -> None:
    upgrade = an_upgrade("v1", 1000)
    first = next(callbacks.events(upgrade))
    content = callbacks.message(upgrade, first)["upgradeScheduled"]
    assert len(content["deviceList"]) == 100


def register(caller: Caller, version: Version = "v1") -> None:
    """Registers a URL at which nothing answers, so that each delivery is lost at once."""
    registration = Registration("http://127.0.0.1:1/", Login("u", "p"))
    caller.state.registrations.put(version, ACCOUNT, registration, "POST")


def test_callbacks_are_sent_when_they_are_due_and_are_counted(caller: Caller) -> None:
    caller.campaigns(devices=3, upgrades=1, pace_s=10)
    sent = []
    for _ in range(12):
        caller.state.runner.run_due()
        sent.append(len(caller.state.deliveries.listing()))
        caller.now += 10
    # Scheduled at 1; devices start at 2, 3, 4 and end at 5, 6, 7.
    assert sent == [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7]
    (summary,) = caller.control("GET", "/campaigns")["campaigns"]
    assert summary["callbacks"] == {
        **dict.fromkeys(("pending", "acknowledged", "lost", "dropped"), 0),
        "unregistered": 7,
    }


def test_k_of_n_callbacks_are_lost_by_seed_and_the_same_in_every_run() -> None:
    runs = []
    for seed in ("a", "a", "b"):
        caller = Caller().authorize()
        made = caller.campaigns(devices=20, upgrades=2, lose=3, lose_of=10, seed=seed)
        caller.now += 1000
        assert caller.state.runner.run_due() is None
        results = [each["result"] for each in caller.state.deliveries.listing()]
        assert len(results) == 42
        assert [results[at : at + 10].count("dropped") for at in (0, 10, 20, 30)] == [3] * 4
        assert made["callbacks"]["dropped"] == 0
        (summary,) = caller.control("GET", "/campaigns")["campaigns"]
        assert summary["callbacks"]["dropped"] == results.count("dropped")
        runs.append(results)
    assert runs[0] == runs[1] != runs[2]


def test_losses_of_all_messages_are_exact_in_every_block() -> None:
    loss = Loss(lose=2, of=7, seed="x")
    taken = [loss.takes(number) for number in range(700)]
    assert all(sum(taken[at : at + 7]) == 2 for at in range(0, 700, 7))
    assert len({tuple(taken[at : at + 7]) for at in range(0, 700, 7)}) > 5


def test_any_message_can_be_lost_on_purpose(caller: Caller) -> None:
    register(caller)
    message = {"accountName": ACCOUNT}
    lost = caller.control("POST", "/messages?lose=1&wait=1", message)
    assert (lost["result"], lost["attempts"]) == ("dropped", [])
    caller.control("PUT", "/losses", {"lose": 1, "of": 1})
    assert caller.control("POST", "/messages?wait=1", message)["result"] == "dropped"
    assert caller.control("GET", "/losses") == {"lose": 1, "of": 1, "seed": "0"}
    assert caller.control("PUT", "/losses", {})["lose"] == 0
    for wrong in ({"lose": 2}, {"of": 0}, {"x": 1}):
        assert caller("PUT", "/sandbox/losses", wrong).status_code == 400


def test_placed_upgrades_send_nothing(caller: Caller) -> None:
    caller.campaigns(devices=5, states={"InProgress": 1})
    caller.now += 1e6
    assert caller.state.runner.run_due() is None
    assert caller.state.deliveries.listing() == []


def test_forgotten_campaigns_send_no_more(caller: Caller) -> None:
    caller.campaigns(devices=5)
    caller.control("DELETE", "/campaigns")
    caller.now += 100
    assert caller.state.runner.run_due() is None
    assert caller.state.deliveries.listing() == []


def test_courses_end_as_they_were_asked_to(caller: Caller) -> None:
    ends = {"Finished": 2, "UpgradeFailed": 1, "RequestFailed": 1}
    caller.campaigns(devices=8, upgrades=4, ends=ends)
    caller.now += 100
    for state, count in ends.items():
        page = caller.read("v1", f"/reports/A/status/{state}/index/0")
        assert len(page["reportList"]) == count


def test_only_so_many_deliveries_are_kept_and_all_are_counted() -> None:
    deliveries = Deliveries(clock=lambda: 0.0, max_kept=5)
    for number in range(10_010):
        deliveries.add(ACCOUNT, None, None, None, dropped=number % 2 == 0)
    assert [each["id"] for each in deliveries.listing(after=10_007)] == [10_008, 10_009, 10_010]
    assert deliveries.get(1) is None
    found = deliveries.get(10_010)
    assert found is not None
    assert found["id"] == 10_010
    assert deliveries.counts()["dropped"] == deliveries.counts()["unregistered"] == 5005
    assert len(deliveries.listing()) == 10
