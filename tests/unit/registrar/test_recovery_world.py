"""Whatever happens to messages, streams and replicas: after two sweeps each message that was due is accounted for."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.recovery_world import play, violations

VERSIONS = ("v1", "v2", "v3")


@settings(max_examples=60)
@given(random=st.randoms(use_true_random=False), version=st.sampled_from(VERSIONS))
def test_every_due_message_is_received_recovered_or_unknown_for_a_reason(
    random: Random, version: str
) -> None:
    assert violations(play(random, version)) == []
