"""The index of what came, and recovered messages, on a real Redis."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.queue.keys import Partition, every_partition
from listener.queue.queue import DurableQueue
from listener.recovered import recovered_messages, stored_evidence
from listener.recovered.devices import EVERY_DEVICE
from listener.recovered.evidence_index import EvidenceIndex
from listener.recovered.recovered_messages import RecoveredMessages
from listener.recovered.recovery_state import RECOVERABLE_KINDS, Report
from listener.spool.spool import Spool
from testbed.ports import free_port
from tests.support.queue_load import settings

pytestmark = pytest.mark.redis_flavour

ACCOUNT = "0242078689-00001"
UPGRADE = "60b5d639-ccdc-4db8-8824-069bd94c95bf"
CAMPAIGN = "252d7ffc-7e35-11ec-931e-76f56843c393"
OTHER = "0a0a0a0a-ccdc-4db8-8824-069bd94c95bf"
KEY = f"{{fota:0}}:evidence:{ACCOUNT}:{UPGRADE}"
IMEI = "990013907835573"
STREAM = Partition("fota", 0).messages
TYPES = ("upgradeScheduled", "upgradeProgress", "upgradeFinished")
FINISHED = "upgrade-finished"


@pytest.fixture
def index(redis_url: str) -> Iterator[EvidenceIndex]:
    with closing(EvidenceIndex.connect(settings(redis_url))) as made:
        yield made


@pytest.fixture
def recovered(redis_url: str) -> Iterator[RecoveredMessages]:
    with closing(RecoveredMessages.connect(settings(redis_url))) as made:
        yield made


def message(
    type_: str, upgrade: str = UPGRADE, account: str = ACCOUNT, **members: Any
) -> dict[str, Any]:
    return {"accountName": account, "type": type_, type_: {"upgradeId": upgrade, **members}}


def keep(url: str, *payloads: Mapping[str, Any], **environ: str) -> None:
    with closing(DurableQueue(settings(url, **environ))) as queue:
        for payload in payloads:
            queue.put(Message.from_payload(payload, arrived=datetime.now(UTC), request_id="r"))


def since(index: EvidenceIndex) -> datetime:
    found = index.complete_since(ACCOUNT, UPGRADE)
    assert found
    return found


def report(device: str | None = None, **content: Any) -> Report:
    content = {"id": UPGRADE, "status": "Finished", **content}
    call = "GET /fota/v1/reports/{account}/status/Finished/index/0"
    return Report(ACCOUNT, "v1", UPGRADE, "Finished", call, content, device)


def test_kinds_that_came_are_known_by_upgrade_and_account(
    redis_url: str, index: EvidenceIndex
) -> None:
    keep(
        redis_url,
        message("upgradeScheduled"),
        message("upgradeFinished", account="0000000001-00001"),
        {"campaignId": CAMPAIGN, "status": "CampaignEnded"},
    )
    assert index.refresh(10)
    assert index.kinds_of(ACCOUNT, UPGRADE.upper()) == {"upgrade-scheduled"}
    assert index.kinds_of("0000000001-00001", UPGRADE) == {FINISHED}
    # It names no account and no type, and the state in which it ended.
    assert index.kinds_of(ACCOUNT, CAMPAIGN) == {FINISHED, "unknown"}
    assert index.kinds_of(ACCOUNT, "another") == frozenset()


def test_devices_are_known_by_kind(redis_url: str, index: EvidenceIndex) -> None:
    devices = [{"deviceId": f"99001390783{number:04}"} for number in range(2500)]
    keep(
        redis_url,
        message("upgradeScheduled", deviceList=devices),
        message("upgradeFinished", deviceId=IMEI),
        message("upgradeFinished", deviceId="990013907835574"),
    )
    assert index.refresh(10)
    assert index.devices_of(ACCOUNT, UPGRADE, FINISHED) == {IMEI, "990013907835574"}
    assert index.devices_of(ACCOUNT, UPGRADE, "upgrade-scheduled") == {EVERY_DEVICE}
    assert index.devices_of(ACCOUNT, UPGRADE, "upgrade-started") == frozenset()


def test_reading_goes_on_where_it_stopped_and_says_when_it_is_not_at_the_end(
    redis_url: str, index: EvidenceIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_evidence, "PAGE_ENTRIES", 2)
    keep(redis_url, *(message(type_) for type_ in TYPES))
    assert not index.refresh(0)
    assert len(index.kinds_of(ACCOUNT, UPGRADE)) == 2
    assert index.refresh(0)
    assert len(index.kinds_of(ACCOUNT, UPGRADE)) == 3


def test_two_replicas_that_read_at_a_time_store_each_page_once(
    redis_url: str,
    redis_client: "redis.Redis",
    index: EvidenceIndex,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_evidence, "PAGE_ENTRIES", 1)
    keep(redis_url, *(message(type_) for type_ in TYPES))
    with closing(EvidenceIndex.connect(settings(redis_url))) as other:
        position = stored_evidence.StoredEvidence.position

        def overtaken(stored: stored_evidence.StoredEvidence) -> Any:
            found = position(stored)
            with monkeypatch.context() as patch:
                patch.setattr(stored_evidence.StoredEvidence, "position", position)
                other.refresh(0)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(stored_evidence.StoredEvidence, "position", overtaken)
            while not index.refresh(10):
                pass
        assert index.refresh(10)
    newest = redis_client.xinfo_stream(STREAM)["last-generated-id"]
    assert redis_client.hget("{fota:0}:evidence", "cursor") == newest
    assert len(index.kinds_of(ACCOUNT, UPGRADE)) == 3


def test_what_was_trimmed_unread_is_not_complete_and_what_was_trimmed_after_it_was_read_is(
    redis_url: str, redis_client: "redis.Redis", index: EvidenceIndex
) -> None:
    assert index.refresh(10)
    keep(redis_url, message("upgradeScheduled"), message("upgradeProgress"))
    assert index.refresh(10)
    redis_client.xtrim(STREAM, maxlen=1, approximate=False)
    keep(redis_url, message("upgradeProgress", status="again"))
    assert index.refresh(10)
    assert index.complete_since(ACCOUNT, UPGRADE) is None
    before = datetime.now(UTC)
    keep(redis_url, message("upgradeFinished"), message("upgradeFinished", status="again"))
    redis_client.xtrim(STREAM, maxlen=1, approximate=False)
    assert index.refresh(10)
    assert since(index) > before
    assert index.kinds_of(ACCOUNT, UPGRADE) == {"upgrade-scheduled", "upgrade-started", FINISHED}


def test_stream_that_was_deleted_is_complete_since_then(
    redis_url: str, redis_client: "redis.Redis", index: EvidenceIndex
) -> None:
    keep(redis_url, message("upgradeScheduled"))
    index.refresh(10)
    before = datetime.now(UTC)
    redis_client.delete(STREAM)
    keep(redis_url, message("upgradeFinished"))
    assert index.refresh(10)
    assert since(index) >= before.replace(microsecond=0)
    assert FINISHED in index.kinds_of(ACCOUNT, UPGRADE)


def test_evidence_expires_and_is_not_claimed_to_be_complete_for_longer(
    redis_url: str, redis_client: "redis.Redis", index: EvidenceIndex
) -> None:
    # Redis 6.2 does not count what a stream lost before it was first read.
    index.refresh(10)
    keep(redis_url, message("upgradeFinished", deviceId=IMEI))
    index.refresh(10)
    keys = list(redis_client.scan_iter("{fota:0}:evidence:*"))
    assert len(keys) == 2
    assert all(0 < redis_client.ttl(key) <= stored_evidence.KEPT_S for key in keys)
    assert index.complete_since(ACCOUNT, UPGRADE) is None
    redis_client.hset("{fota:0}:evidence", "began_ms", 1)
    age_s = (datetime.now(UTC) - since(index)).total_seconds()
    assert age_s == pytest.approx(stored_evidence.KEPT_S, abs=60)


def test_ids_that_are_perhaps_none_of_an_upgrade_are_kept_for_less_long(
    redis_url: str, redis_client: "redis.Redis", index: EvidenceIndex
) -> None:
    ids = {"transactionId": OTHER, "messageId": "m-1"}
    # As above.
    index.refresh(10)
    keep(redis_url, {**message("upgradeFinished"), **ids})
    assert index.refresh(10)
    assert list(redis_client.scan_iter("{fota:0}:evidence:*")) == [KEY]
    assert redis_client.ttl(KEY) > stored_evidence.GUESS_KEPT_S
    keep(redis_url, {"campaignId": UPGRADE, "accountName": ACCOUNT, **ids})
    assert index.refresh(10)
    assert len(list(redis_client.scan_iter("{fota:0}:evidence:*"))) == 3
    # Of one upgrade something is known.
    assert redis_client.ttl(KEY) > stored_evidence.GUESS_KEPT_S
    other = KEY.replace(UPGRADE, OTHER)
    assert 0 < redis_client.ttl(other) <= stored_evidence.GUESS_KEPT_S
    assert index.complete_since(ACCOUNT, UPGRADE) is None or since(index) < datetime.now(UTC)
    redis_client.hset("{fota:0}:evidence", "guessed_ms", 1)
    assert since(index).timestamp() == 0.001


def test_entry_that_is_no_text_or_too_large_for_a_page_does_not_stop_the_reading(
    redis_url: str, redis_client: "redis.Redis", index: EvidenceIndex
) -> None:
    redis_client.xadd(STREAM, {"kind": "unknown", "data": b"\xff\xfe"})
    redis_client.xadd(STREAM, {"kind": "unknown", "data": f'"{CAMPAIGN}"' + " " * 2**20})
    redis_client.xadd(STREAM, {"x": "y"})
    keep(redis_url, message("upgradeScheduled"))
    assert index.refresh(10)
    assert index.kinds_of(ACCOUNT, CAMPAIGN) == {"unknown"}
    assert index.kinds_of(ACCOUNT, UPGRADE) == {"upgrade-scheduled"}


def test_waiting_spool_of_this_host_and_of_another_is_known(
    redis_url: str, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    with closing(EvidenceIndex.connect(settings(redis_url, SPOOL_DIR=str(tmp_path)))) as index:
        assert not index.spool_is_waiting()
        spooled = Message.from_payload(
            message("upgradeFinished"), arrived=datetime.now(UTC), request_id="r"
        )
        with closing(Spool(tmp_path, 2**20)) as spool:
            spool.put(spooled, 10)
            assert index.spool_is_waiting()
    with closing(EvidenceIndex.connect(settings(redis_url))) as index:
        assert not index.spool_is_waiting()
        now_s = datetime.now(UTC).timestamp()
        redis_client.zadd("{fota:0}:spools", {"long-gone": now_s - 6 * 86400})
        assert index.spool_is_waiting()
        assert index.complete_since(ACCOUNT, UPGRADE) is None
        redis_client.zadd("{fota:0}:spools", {"long-gone": now_s - 8 * 86400})
        assert not index.spool_is_waiting()
        # What came until then may lie there for ever.
        assert since(index).timestamp() == pytest.approx(now_s - 8 * 86400 + 3600, abs=1)
        redis_client.zadd("{fota:0}:spools", {"other-host": now_s})
        assert index.spool_is_waiting()


def test_recovered_message_is_marked_and_has_the_report_in_a_member_of_its_own(
    redis_client: "redis.Redis", recovered: RecoveredMessages
) -> None:
    devices = [{"deviceId": IMEI, "mdn": "5551234567"}]
    assert recovered.put(report(deviceList=devices, MDN="5551234567"), FINISHED)
    reply: Any = redis_client.xrange(STREAM)
    [(_, fields)] = reply
    assert fields["origin"] == "recovered"
    assert fields["basis"] == "GET /fota/v1/reports/{account}/status/Finished/index/0"
    assert fields["type"] == "com.verizon.thingspace.fota.recovered.upgradeFinished"
    assert (fields["kind"], fields["subject"], fields["account"]) == (FINISHED, UPGRADE, ACCOUNT)
    assert json.loads(fields["data"]) == {
        "accountName": ACCOUNT,
        "recovered": {
            "kind": FINISHED,
            "upgradeId": UPGRADE,
            "version": "v1",
            "call": fields["basis"],
            "status": "Finished",
        },
        "report": {"id": UPGRADE, "status": "Finished", "deviceList": [{"deviceId": IMEI}]},
    }


def test_message_is_recovered_once_whatever_the_report_says_later(
    redis_url: str, redis_client: "redis.Redis", recovered: RecoveredMessages
) -> None:
    assert recovered.put(report(), FINISHED)
    assert not recovered.put(report(endDate="2026-11-29"), FINISHED)
    # The de-duplication window is over.
    redis_client.delete(*redis_client.scan_iter("{fota:0}:seen*"))
    with closing(RecoveredMessages.connect(settings(redis_url))) as replica:
        assert not replica.put(report(), FINISHED)
    assert recovered.put(report(), "upgrade-started")
    assert recovered.put(report(IMEI, deviceId=IMEI), FINISHED)
    assert redis_client.xlen(STREAM) == 3


def test_one_report_makes_a_message_of_each_kind_that_it_proves_due(
    redis_client: "redis.Redis", recovered: RecoveredMessages
) -> None:
    for kind in RECOVERABLE_KINDS:
        assert recovered.put(report(), kind)
    reply: Any = redis_client.xrange(STREAM)
    assert [fields["kind"] for _, fields in reply] == list(RECOVERABLE_KINDS)


def test_second_try_after_a_crash_has_the_content_of_the_first(
    redis_client: "redis.Redis",
    recovered: RecoveredMessages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            recovered_messages.RecoveredMessages, "_remember", lambda *_: _raise(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            recovered.put(report(), FINISHED)
    # A duplicate, although the report has changed.
    assert not recovered.put(report(endDate="2026-11-29"), FINISHED)
    assert redis_client.xlen(STREAM) == 1


def test_index_that_read_a_recovered_message_keeps_it_from_being_queued_again(
    redis_client: "redis.Redis",
    index: EvidenceIndex,
    recovered: RecoveredMessages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(recovered_messages.RecoveredMessages, "_remember", lambda *_: None)
        assert recovered.put(report(), FINISHED)
        assert recovered.put(report(IMEI), "upgrade-started")
    redis_client.delete(*redis_client.scan_iter("{fota:0}:seen*"))
    assert index.refresh(10)
    assert index.kinds_of(ACCOUNT, UPGRADE) == frozenset()
    assert index.recovered_kinds_of(ACCOUNT, UPGRADE) == {FINISHED}
    assert not recovered.put(report(), FINISHED)
    assert not recovered.put(report(IMEI), "upgrade-started")
    assert redis_client.xlen(STREAM) == 2


def test_real_message_that_comes_later_stands_beside_the_recovered_one(
    redis_url: str, redis_client: "redis.Redis", index: EvidenceIndex, recovered: RecoveredMessages
) -> None:
    assert recovered.put(report(), FINISHED)
    keep(redis_url, message("upgradeFinished"))
    assert index.refresh(10)
    assert index.kinds_of(ACCOUNT, UPGRADE) == {FINISHED}
    assert redis_client.xlen(STREAM) == 2


def test_recovered_message_that_redis_does_not_confirm_is_an_error() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    with (
        closing(RecoveredMessages.connect(settings(url))) as recovered,
        pytest.raises(QueueUnavailableError),
    ):
        recovered.put(report(), FINISHED)


@pytest.mark.parametrize("partitions", [1, 7])
def test_unknown_messages_count_in_whichever_partition_they_are(
    redis_url: str, partitions: int
) -> None:
    environ = {"QUEUE_PARTITIONS": str(partitions)}
    accounts = [f"{n:010}-00001" for n in range(9)]
    bodies = [{"campaignId": CAMPAIGN, "accountName": account} for account in accounts]
    keep(redis_url, *bodies, message("upgradeScheduled", CAMPAIGN), **environ)
    with closing(EvidenceIndex.connect(settings(redis_url, **environ))) as index:
        assert index.refresh(10)
        for account in accounts:
            assert index.kinds_of(account, CAMPAIGN) == {"unknown"}
        assert index.kinds_of(ACCOUNT, CAMPAIGN) == {"upgrade-scheduled"}
    assert len(every_partition("fota", partitions)) == partitions


def _raise(error: type[BaseException]) -> Any:
    raise error
