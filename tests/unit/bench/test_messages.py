"""The messages of a load: each unique, and like its sample."""

import itertools
import json

import pytest

from bench.load import messages
from bench.load.messages import MessageNumbers


def test_every_message_is_unique_and_otherwise_as_its_sample() -> None:
    templates = messages.sample_templates()
    bodies = [messages.body(templates, number) for number in range(100)]
    assert len(set(bodies)) == 100
    sample = json.loads((messages.SAMPLE_DIR / "upgrade-finished.json").read_text())
    sent = json.loads(messages.body(templates, 3))
    assert sent["upgradeFinished"].pop("upgradeId") == "60b5d639-ccdc-4db8-8824-000000000003"
    assert sent["upgradeFinished"].items() <= sample["upgradeFinished"].items()


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
def test_message_can_have_a_size(size: int) -> None:
    body = messages.body(messages.sized_templates(size), 1)
    assert size * 0.8 < len(body) <= size
    assert json.loads(body)["type"] == "upgradeScheduled"


def test_ranges_of_message_numbers_are_disjoint_and_the_same_for_every_contender() -> None:
    one, other = MessageNumbers(), MessageNumbers()
    first = [one.next() for _ in range(3)]
    assert first == [other.next() for _ in range(3)]
    assert all(second - number >= 10**7 for number, second in itertools.pairwise(first))
