"""A queue in the middle of a campaign, for the pages that show it: upgrades, groups, dead letters, quarantine, arrivals."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import redis

STREAM, QUARANTINE, DEAD = "{fota:0}:messages", "{fota:0}:quarantine", "{fota:0}:dead:billing"
OBSERVATIONS = "{fota:registrar}:observations"
ACCOUNT = "0242078689-00001"
FIRMWARE = "FOTA_Verizon_Model-A_02To03_HF"
KINDS = {
    "upgradeScheduled": "upgrade-scheduled",
    "upgradeProgress": "upgrade-started",
    "upgradeFinished": "upgrade-finished",
}
# What a careless page would make markup, a path, or a change of direction of.
HOSTILE = ('<script>alert("x")</script>', "../a/b?c#d&e=%2F", "\u202egnp.exe", "W" * 300)
TRACEBACK = """Traceback (most recent call last):
  File "/srv/billing/handlers.py", line 41, in invoice
    tariff = tariffs[device.tariff]
KeyError: 'T-17'"""


def upgrade_id(number: int) -> str:
    """The same ids each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"upgrade-{number}"))


def device_id(number: int) -> str:
    """An IMEI's 15 digits."""
    return f"{990013900000000 + number * 7919:015}"


def fill(client: "redis.Redis", *, hostile: bool = False) -> list[str]:
    """Fills an empty queue; returns the entry ids, the oldest first."""
    now_ms = int(time.time() * 1000)
    messages = sorted(_messages(hostile=hostile), key=lambda message: -message[0])
    # In one round trip: a server that syncs each write to a slow disk takes its time.
    with client.pipeline(transaction=False) as pipeline:
        entries = dict(
            _add(pipeline, now_ms - int(age_s * 1000), number, type_, about)
            for number, (age_s, type_, about) in enumerate(messages)
        )
        pipeline.execute()
    ids = list(entries)
    for group in ("billing", "dashboard"):
        client.xgroup_create(STREAM, group, "0")
    client.xreadgroup("dashboard", "dashboard-1", {STREAM: ">"}, count=10_000, noack=True)
    client.xreadgroup("billing", "billing-7d9f", {STREAM: ">"}, count=len(ids) - 40)
    client.xack(STREAM, "billing", *ids[: len(ids) - 44])
    with client.pipeline(transaction=False) as pipeline:
        for error, traceback, buried in (
            ("KeyError: 'T-17'", TRACEBACK, ids[20:32]),
            ("the tariff service answered 503 after 2.1 s", "", ids[40:43]),
        ):
            for entry_id in buried:
                _bury(pipeline, entry_id, entries[entry_id], error, traceback)
        _refuse(pipeline)
        pipeline.execute()
    return ids


def _messages(*, hostile: bool) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """How many seconds ago, the type, and the container of each message."""
    for number in range(8):
        upgrade, devices = upgrade_id(number), [device_id(number * 40 + each) for each in range(12)]
        start_s = 600.0 + number * 1100
        listed = [
            {"deviceId": device, "status": "Device Accepted" if each else "Device Rejected"}
            for each, device in enumerate(devices)
        ]
        about = {"upgradeId": upgrade, "firmwareName": FIRMWARE}
        yield start_s, "upgradeScheduled", {**about, "deviceList": listed}
        for each, device in enumerate(devices[1:]):
            one = {**about, "deviceId": device}
            yield start_s - 20 - each * 9, "upgradeProgress", {**one, "status": "InProgress"}
            # One upgrade has started and ended nowhere, one is half done, one failed here and there.
            if (number == 1) or (number == 0 and each > 4):
                continue
            status = "UpgradeFailed" if number == 3 and each < 2 else "UpgradeSuccess"
            yield start_s - 200 - each * 11, "upgradeFinished", {**one, "status": status}
    for place, text in enumerate(HOSTILE if hostile else ()):
        yield 5.0 - place, "upgradeProgress", {"upgradeId": text, "deviceId": text, "status": text}


def _add(
    client: "redis.Redis", time_ms: int, number: int, type_: str, about: Mapping[str, Any]
) -> tuple[str, dict[Any, Any]]:
    """The entry's id and its fields."""
    time_text = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="microseconds")
    kind, minute = KINDS[type_], time_ms // 60_000
    data = {"accountName": ACCOUNT, "type": type_, "firmwareList": [], type_: about}
    entry: dict[Any, Any] = {
        "specversion": "1.0",
        "id": f"{number:032x}",
        "source": f"/thingspace/fota/{ACCOUNT}",
        "type": f"com.verizon.thingspace.fota.{type_}",
        "subject": about["upgradeId"],
        "time": time_text.replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "kind": kind,
        "account": ACCOUNT,
        "requestid": f"{number:032x}",
        "data": json.dumps(data),
    }
    client.hincrby(f"{{fota:0}}:arrived:{minute // 60}", f"{minute}:{kind}", 1)
    entry_id = f"{time_ms}-{number}"
    client.xadd(STREAM, entry, id=entry_id)
    return entry_id, entry


def _bury(
    client: "redis.Redis", entry_id: str, fields: Mapping[Any, Any], error: str, traceback: str
) -> None:
    failed = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000 + 30, UTC).isoformat()
    added: dict[Any, Any] = {
        "reason": "handler-failed",
        "error": error,
        "traceback": traceback,
        "deliveries": "5",
        "entry": entry_id,
        "consumer": "billing-7d9f",
        "failed": failed.replace("+00:00", "Z"),
    }
    client.xadd(DEAD, {**fields, **added})


def _refuse(client: "redis.Redis") -> None:
    arrived = datetime.fromtimestamp(time.time() - 900, UTC).isoformat().replace("+00:00", "Z")
    other = json.dumps({"accountName": "0242078689-00002", "type": "upgradeFinished"})
    for reason, data in (
        ("account-refused", other),
        ("account-refused", other),
        ("not-json", "{oops"),
    ):
        client.xadd(QUARANTINE, {"reason": reason, "data": data, "time": arrived})


def recover(client: "redis.Redis") -> str:
    """What the registrar's recovery stored and queued; returns the entry id of the message."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    counts = {"due": 1012, "announced": 1009, "missing": 2, "unknown": 1, "recovered": 1}
    slots = {
        f"{ACCOUNT}/v1": {
            "baseline": "2026-11-01T03:12:00Z",
            "swept": now,
            "upgrades": 1340,
            "kinds": {"upgrade-scheduled": counts, "upgrade-finished": {"due": 7, "announced": 7}},
        },
        f"{ACCOUNT}/v2": {"baseline": None, "swept": None, "problem": "rejected"},
    }
    state = {"mode": "queue", "interval_h": 24, "slots": slots}
    client.set("{fota:registrar}:recovery", json.dumps(state))
    call = "GET /fota/v1/reports/{account}/status/Finished/index/0"
    about = {"version": "v1", "call": call, "status": "Finished"}
    report = {"id": upgrade_id(9), "firmwareName": FIRMWARE, "status": "Finished"}
    data = {"accountName": ACCOUNT, "recovered": about, "report": report}
    entry: dict[Any, Any] = {
        "specversion": "1.0",
        "id": f"{9:032x}",
        "source": f"/thingspace/fota/{ACCOUNT}",
        "type": "com.verizon.thingspace.fota.recovered.upgradeFinished",
        "subject": upgrade_id(9),
        "time": now,
        "datacontenttype": "application/json",
        "kind": "upgrade-finished",
        "account": ACCOUNT,
        "requestid": f"{9:032x}",
        "origin": "recovered",
        "basis": call,
        "data": json.dumps(data),
    }
    return str(client.xadd(STREAM, entry))


def register(client: "redis.Redis") -> None:
    """What a registrar stored that found no registration."""
    tick = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    observation = {
        "registered_url": "https://fota.example.com/CallbackListener/FirmwareServiceMessages.asmx",
        "ours": True,
        "tick": tick,
        "result": "registered",
        "reason": "absent",
    }
    client.hset(OBSERVATIONS, f"{ACCOUNT}/v1", json.dumps(observation))
