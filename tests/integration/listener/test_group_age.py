"""The age of a consumer group: of the oldest message that it was not given, or has not acknowledged."""

from typing import Any

import pytest

from listener.inspection.queue_view import QueueView, decoding_client
from listener.settings.queue_settings import QueueSettings
from listener.settings.secret import Secret

pytestmark = pytest.mark.redis_flavour

STREAM = "{fota:0}:messages"


@pytest.fixture
def stream(redis_client: Any) -> int:
    """Four messages, 400, 300, 200 and 100 s old; the group has read two. Returns Redis's time in ms."""
    now_ms = int(redis_client.time()[0]) * 1000
    for age_s in (400, 300, 200, 100):
        redis_client.xadd(STREAM, {"data": "x" * 10}, id=f"{now_ms - age_s * 1000}-0")
    redis_client.xgroup_create(STREAM, "billing", "0")
    redis_client.xreadgroup("billing", "one", {STREAM: ">"}, count=2)
    return now_ms


@pytest.mark.parametrize(
    ("acknowledged", "read_all", "age_s"),
    [
        pytest.param((), False, 400, id="nothing acknowledged"),
        pytest.param((400,), False, 300, id="the oldest acknowledged"),
        pytest.param((400, 300), False, 200, id="only unread ones"),
        pytest.param((400, 300), True, 200, id="all read"),
        pytest.param((400, 300, 200, 100), True, 0, id="all done"),
    ],
)
def test_age_is_that_of_the_oldest_message_that_is_not_done(
    acknowledged: tuple[int, ...],
    *,
    read_all: bool,
    age_s: int,
    stream: int,
    redis_url: str,
    redis_client: Any,
) -> None:
    if read_all:
        redis_client.xreadgroup("billing", "one", {STREAM: ">"})
    for each in acknowledged:
        redis_client.xack(STREAM, "billing", f"{stream - each * 1000}-0")
    settings = QueueSettings(url=Secret(redis_url), namespace="fota", partitions=1)
    with decoding_client(settings, timeout_s=5, name="test") as client:
        view = QueueView(settings, client)
        [group] = view.groups
        found = view.group_age_s(group, view.now())
    assert age_s <= found < age_s + 60 * bool(age_s) + 1
