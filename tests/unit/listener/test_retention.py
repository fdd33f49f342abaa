"""Retention without a Redis: its settings, what INFO says of memory, and what is news."""

import pytest

from listener.errors import SettingsError
from listener.queue.retention import Retention, TrimResult, memory_share
from listener.settings.settings import Settings

ANYBODY = {"ALLOW_ANY_SENDER": "true"}


def settings(**environ: str) -> Settings:
    return Settings.from_env({**ANYBODY, **environ})


def test_the_defaults_keep_for_a_week_and_drop_nothing() -> None:
    chosen = settings()
    assert (chosen.retention_hours, chosen.queue_max_length) == (168, 0)


@pytest.mark.parametrize("name", ["RETENTION_HOURS", "QUEUE_MAX_LENGTH"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "week"])
def test_a_retention_or_a_length_of_nothing_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**{name: value})
    assert set(caught.value.problems) == {name}


@pytest.mark.parametrize(
    ("info", "share"),
    [
        ("# Memory\r\nused_memory:90\r\nused_memory_human:90B\r\nmaxmemory:100\r\n", 0.9),
        ("used_memory:90\r\nmaxmemory:0\r\n", 0.0),
        ("used_memory:90\r\n", 0.0),
        ("maxmemory:100\r\n", 0.0),
        ("", 0.0),
    ],
    ids=["bound", "no bound", "bound hidden", "use hidden", "not allowed to ask"],
)
def test_the_share_of_memory_is_what_info_says(info: str, share: float) -> None:
    assert memory_share(info) == share


@pytest.mark.parametrize(
    ("entries", "groups", "unread_by_any_group"), [(0, 0, False), (1, 0, True), (1, 1, False)]
)
def test_messages_are_unheeded_where_there_are_some_and_no_group(
    entries: int, groups: int, unread_by_any_group: bool
) -> None:
    assert (
        TrimResult(entries, groups, trimmed=0, memory=0.0).unread_by_any_group
        is unread_by_any_group
    )


def test_memory_that_goes_up_and_down_round_the_limit_is_news_once() -> None:
    retention = Retention(settings())

    def is_news(memory: float) -> bool:
        full = retention._is_full(0, TrimResult(entries=1, groups=1, trimmed=0, memory=memory))
        return bool(retention._newly("full", [0] if full else []))

    shares = [0.79, 0.81, 0.79, 0.82, 0.99, 0.76, 0.74, 0.79, 0.81]
    assert [is_news(share) for share in shares] == [
        *(False, True, False, False, False, False, False, False),
        True,
    ]


def test_what_a_partition_had_before_is_no_news_and_what_comes_back_is() -> None:
    retention = Retention(settings())
    turns = [[1], [0, 1], [0, 1], [], [1]]
    assert [retention._newly("unread", turn) for turn in turns] == [
        [1],
        [0],
        [],
        [],
        [1],
    ]
