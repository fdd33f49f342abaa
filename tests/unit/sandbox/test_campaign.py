"""The demonstration's campaign: its messages are distinct, and tell of whole upgrades."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

from sandbox.demo.campaign import campaign
from sandbox.provider_facts import EXAMPLE_ACCOUNT

MESSAGES = Path(__file__).parents[3] / "listener" / "messages" / "samples"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_it_has_at_least_eight_messages_and_no_two_are_alike() -> None:
    messages = campaign(EXAMPLE_ACCOUNT, START)
    assert len(messages) >= 8
    assert len({json.dumps(message, sort_keys=True) for message in messages}) == len(messages)


def test_it_tells_the_whole_story_of_some_devices() -> None:
    kinds = [message["type"] for message in campaign(EXAMPLE_ACCOUNT, START)]
    assert kinds[:4] == ["firmwareList", "upgradeScheduled", "upgradeProgress", "upgradeFinished"]
    ends = [
        message["upgradeFinished"]["status"]
        for message in campaign(EXAMPLE_ACCOUNT, START)
        if message["type"] == "upgradeFinished"
    ]
    assert set(ends) == {"UpgradeSuccess", "UpgradeFailed"}


def test_every_message_is_of_the_account_and_every_upgrade_has_a_fresh_id() -> None:
    numbers = itertools.count(1)
    messages = campaign("0000123456-00001", START, new_id=lambda: f"upgrade-{next(numbers)}")
    assert {message["accountName"] for message in messages} == {"0000123456-00001"}
    ids = [message[message["type"]]["upgradeId"] for message in messages[1:]]
    assert set(ids) == {"upgrade-1", "upgrade-2"}
    again = campaign("0000123456-00001", START)
    assert again != campaign("0000123456-00001", START)


def test_its_messages_are_shaped_like_the_samples() -> None:
    samples = [json.loads(path.read_text()) for path in MESSAGES.glob("*.json")]
    by_type = {sample["type"]: sample for sample in samples if "type" in sample}
    for message in campaign(EXAMPLE_ACCOUNT, START):
        kind = message["type"]
        sample = by_type[kind]
        assert set(sample) <= set(message)
        ours, theirs = message[kind], sample[kind]
        if kind == "firmwareList":
            ours, theirs = ours[0], theirs[0]
        assert set(ours) == set(theirs)
