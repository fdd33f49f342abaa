"""The files of the journal under other hands: removed, damaged, of another version, held open."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from listener.cli.render import spooled_messages
from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.messages.payload import parse
from listener.spool.contents import read_messages
from listener.spool.journal_opening import LOG_BYTES
from listener.spool.spool import JOURNAL, Spool
from testbed.polling import wait_until
from testbed.redis_servers.redis_nodes import Node, started
from testbed.service import RECEIVER, Service

TOKEN = "token-of-the-spool-files"
STREAM = "{fota:0}:messages"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
SENDERS = 4


def body(number: int, padding: int = 0) -> bytes:
    return json.dumps({"type": "new", "n": number, "padding": "x" * padding}).encode()


def message(number: int, padding: int = 0) -> Message:
    payload = parse(body(number, padding))
    return Message.from_payload(payload, arrived=NOW, request_id="r")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "redis", {})
    with started([node]):
        yield node


@pytest.fixture
def service(node: Node) -> Iterator[Service]:
    url = f"redis://{node.address}"
    with Service(*RECEIVER, REDIS_URL=url, CALLBACK_TOKEN=TOKEN) as service:
        service.wait_until_ready()
        yield service


def journal(service: Service) -> Path:
    return Path(service.settings["SPOOL_DIR"], JOURNAL)


def numbers(node: Node) -> Counter[int]:
    """How often each message is in the stream."""
    with closing(node.client()) as client:
        found: Any = client.xrange(STREAM)
        return Counter(json.loads(fields["data"])["n"] for _, fields in found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "removed",
    [("",), ("-wal",), ("-shm",), ("", "-shm"), ("-wal", "-shm"), ("", "-wal", "-shm")],
    ids=["database", "log", "shared", "all-but-the-log", "log-and-shared", "all"],
)
def test_messages_survive_the_removal_of_files_that_the_workers_have_open(
    node: Node, service: Service, removed: tuple[str, ...]
) -> None:
    node.kill()

    def send(number: int) -> int | None:
        return number if service.post(body(number), f"/cb/{TOKEN}").status_code == 200 else None

    acknowledged: set[int | None] = set()
    with ThreadPoolExecutor(SENDERS) as pool:
        for batch in range(4):
            sending = pool.map(send, range(batch * 50, batch * 50 + 50))
            time.sleep(0.05)
            for part in removed:
                Path(f"{journal(service)}{part}").unlink(missing_ok=True)
            acknowledged |= set(sending)
    acknowledged -= {None}
    assert len(acknowledged) > 150
    # Whatever only an open file held is gone now.
    service.kill()
    node.start()
    service.start()
    wait_until(lambda: acknowledged <= numbers(node).keys(), service.log)
    assert max(numbers(node).values()) == 1


def test_row_of_a_later_version_is_moved_without_what_that_version_added(tmp_path: Path) -> None:
    with closing(Spool(tmp_path, 2**20)) as spool:
        spool.put(message(1), 1)
        rewrite(
            tmp_path, 1, lambda text: json.dumps({**json.loads(text), "added": "later"}).encode()
        )
        assert [spooled.message for spooled in spool.oldest(10)] == [message(1)]


def test_row_of_a_version_without_trace_context_is_moved_without_one(tmp_path: Path) -> None:
    traced = message(2)._replace(
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    )
    with closing(Spool(tmp_path, 2**20)) as spool:
        spool.put(message(1), 1)
        spool.put(traced, 1)

        def as_before(text: bytes) -> bytes:
            row = json.loads(text)
            assert row.pop("traceparent") is None
            return json.dumps(row).encode()

        rewrite(tmp_path, 1, as_before)
        assert [spooled.message for spooled in spool.oldest(10)] == [message(1), traced]


every_damage = pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"id": "x"}',
        b'{"data": 7}',
        b"\xff\xfe\x00",
        b'{"data": "\xe4"}',
        json.dumps({**message(1)._asdict(), "data": "{}"}).encode(),
    ],
)


@every_damage
def test_row_that_cannot_be_read_is_set_aside_and_holds_up_nothing(
    tmp_path: Path, damaged: bytes
) -> None:
    with closing(Spool(tmp_path, 2**20)) as spool:
        for number in range(3):
            spool.put(message(number), 1)
        rewrite(tmp_path, 1, lambda _: damaged)
        assert [spooled.message for spooled in spool.oldest(10)] == [message(1), message(2)]
        assert len(spool.oldest(10_000)) == 2
        with closing(sqlite3.connect(tmp_path / JOURNAL)) as opened:
            select = "SELECT id, CAST(message AS BLOB), reason FROM set_aside"
            [(message_id, kept, reason)] = opened.execute(select)
        assert (message_id, kept) == (message(0).id, damaged), "nothing of it is lost"
        assert reason.startswith("unreadable: ")
    # An operator sees it as any other message that is set aside.
    [seen] = read_messages(tmp_path, "set-aside")
    assert (seen.state, seen.message.id, seen.message.data) == ("set-aside", message_id, damaged)
    assert spooled_messages.summary(seen)["bytes"] == len(damaged)
    assert spooled_messages.text(seen)
    assert spooled_messages.whole(seen)["reason"] == reason


def set_aside(folder: Path) -> list[tuple[str, str, str]]:
    """Id, content and reason of what is set aside."""
    with closing(sqlite3.connect(folder / JOURNAL)) as opened:
        return opened.execute("SELECT id, message, reason FROM set_aside").fetchall()


def put_damaged(spool: Spool, folder: Path, count: int = 1) -> None:
    """Has the first messages damaged and set aside."""
    for number in range(count):
        spool.put(message(number), 1)
        rewrite(folder, number + 1, lambda _: b"{damaged")
    assert spool.oldest(10) == []
    assert len(set_aside(folder)) == count


def test_message_that_comes_again_whole_takes_the_place_of_its_row_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    with closing(Spool(tmp_path, 2**20)) as spool:
        put_damaged(spool, tmp_path, count=2)
        assert spool.put(message(0), 1) is False
        assert spool.put(message(0), 1) is True
        assert [spooled.message for spooled in spool.oldest(10)] == [message(0)]
        [(left, *_)] = set_aside(tmp_path)
        assert left == message(1).id, "what did not come again stays"


@every_damage
def test_waiting_row_that_cannot_be_read_gives_way_to_its_message_that_comes_again(
    tmp_path: Path, damaged: bytes
) -> None:
    with closing(Spool(tmp_path, 2**20)) as spool:
        for number in range(2):
            spool.put(message(number), 1)
        rewrite(tmp_path, 1, lambda _: damaged)
        assert spool.put(message(0), 1) is False
        assert spool.put(message(0), 1) is True
        assert [spooled.message for spooled in spool.oldest(10)] == [message(1), message(0)]
        assert set_aside(tmp_path) == []


def test_message_that_redis_refuses_takes_the_place_of_its_row_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    with closing(Spool(tmp_path, 2**20)) as spool:
        put_damaged(spool, tmp_path)
        assert spool.put_aside(message(0), "refused", 1) is False
        assert spool.put_aside(message(0), "refused again", 1) is True
        assert spool.put(message(0), 1) is True
        [(message_id, content, reason)] = set_aside(tmp_path)
        assert (message_id, reason) == (message(0).id, "refused")
        assert json.loads(content)["data"] == message(0).data.decode()


def test_message_that_waits_is_set_aside_whole_though_a_row_that_cannot_be_read_came_back(
    tmp_path: Path,
) -> None:
    with closing(Spool(tmp_path, 2**20)) as spool:
        put_damaged(spool, tmp_path)
        damaged = set_aside(tmp_path)
        spool.put(message(0), 1)
        # A process copies what it has open of removed files.
        with closing(sqlite3.connect(tmp_path / JOURNAL)) as copying, copying:
            insert = "INSERT INTO set_aside (id, message, reason, since) VALUES (?, ?, ?, '')"
            copying.executemany(insert, damaged)
        spool.set_aside(spool.oldest(10), "refused")
        [(_, content, reason)] = set_aside(tmp_path)
        assert (json.loads(content)["id"], reason) == (message(0).id, "refused")


def rewrite(folder: Path, place: int, change: object) -> None:
    with closing(sqlite3.connect(folder / JOURNAL)) as opened, opened:
        select = "SELECT message FROM message WHERE place = ?"
        [(text,)] = opened.execute(select, (place,))
        opened.execute(
            "UPDATE message SET message = CAST(? AS TEXT) WHERE place = ?",
            (change(text), place),  # type: ignore[operator]
        )


def test_journal_that_somebody_keeps_open_for_reading_stays_within_its_bound(
    tmp_path: Path,
) -> None:
    limit = 2**22
    with (
        closing(Spool(tmp_path, limit)) as spool,
        closing(sqlite3.connect(tmp_path / JOURNAL)) as reader,
    ):
        spool.put(message(0), 1)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM message").fetchone()
        refused = fill_and_drain(spool, rounds=40)
        taken = sum(file.stat().st_size for file in tmp_path.glob(f"{JOURNAL}*"))
        assert "keeps it open" in refused or "open for reading" in refused
        # Besides, the last messages were forgotten.
        assert taken < 2 * limit + LOG_BYTES + 2**20
        reader.rollback()
        # Nobody has to be restarted.
        wait_until(lambda: is_kept(spool, message(10**6)))
        assert sum(file.stat().st_size for file in tmp_path.glob(f"{JOURNAL}*")) < limit + LOG_BYTES


def fill_and_drain(spool: Spool, *, rounds: int) -> str:
    """Why a message was refused at last."""
    for number in range(1, rounds):
        try:
            for part in range(20):
                spool.put(message(number * 100 + part, padding=100_000), 5)
        except QueueUnavailableError as error:
            return error.detail
        spool.remove(spool.oldest(1000, 2**30))
    return "nothing was refused"


def is_kept(spool: Spool, sent: Message) -> bool:
    try:
        spool.put(sent, 5)
    except QueueUnavailableError:
        return False
    return True
