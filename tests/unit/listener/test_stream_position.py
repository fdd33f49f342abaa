"""Whether something was trimmed before it was read: on a model of a stream, with every step in any order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import entry_ids
from listener.recovered.stream_position import StreamPosition, StreamState

NOW_MS = 1_000_000
HOUR_MS = 3_600_000


@dataclass
class Stream:
    """A stream whose n-th entry has the id `n-0`; of the time it arrived nothing is said."""

    counts: bool = True
    ids: list[int] = field(default_factory=list)
    added: int = 0
    last: int = 0
    max_deleted: int = 0
    exists: bool = False

    def add(self) -> None:
        self.exists = True
        self.last += 1
        self.added += 1
        self.ids.append(self.last)

    def trim(self, count: int) -> list[int]:
        gone, self.ids = self.ids[:count], self.ids[count:]
        return gone

    def delete(self, at: int) -> list[int]:
        if not self.ids:
            return []
        gone = self.ids.pop(at % len(self.ids))
        self.max_deleted = max(self.max_deleted, gone)
        return [gone]

    def drop(self) -> list[int]:
        """The key is deleted; ids go on, as a clock does."""
        gone, self.ids = self.ids, []
        self.added, self.max_deleted, self.exists = 0, 0, False
        return gone

    def state(self) -> StreamState | None:
        if not self.exists:
            return None
        first, last = (self.ids[0], self.ids[-1]) if self.ids else (None, None)
        return StreamState(
            length=len(self.ids),
            last_id=f"{self.last}-0",
            first=f"{first}-0" if first else None,
            last=f"{last}-0" if last else None,
            added=self.added if self.counts else None,
            max_deleted=f"{self.max_deleted}-0" if self.counts else None,
        )

    def behind(self, cursor: str, count: int) -> list[int]:
        return [each for each in self.ids if each > entry_ids.parse(cursor)[0]][:count]


STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 4)),
    st.tuples(st.just("read"), st.integers(1, 3)),
    st.tuples(st.just("trim"), st.integers(1, 4)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("drop"), st.integers(0, 3)),
)


class Reader:
    """Reads a stream, and notes what went before it was read."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.position = StreamPosition()
        self.read: set[int] = set()
        self.lost: set[int] = set()

    def step(self, name: str, amount: int) -> None:
        stream = self.stream
        if name == "add":
            for _ in range(amount):
                stream.add()
        elif name == "read":
            page = stream.behind(self.position.cursor, amount)
            ids = [f"{each}-0" for each in page]
            self.position = self.position.advance(stream.state(), ids, now_ms=NOW_MS, kept_ms=0)
            self.read.update(page)
        elif name == "drop":
            # Nobody can know of a stream that was deleted before anything of it was read.
            if self.position.cursor != entry_ids.FIRST:
                self.lost.update(set(stream.drop()) - self.read)
                self.step("add", amount)
                self.step("read", 100)
        else:
            gone = stream.trim(amount) if name == "trim" else stream.delete(amount)
            self.lost.update(set(gone) - self.read)


@given(steps=st.lists(STEPS, max_size=25))
def test_whatever_was_lost_unread_lies_in_a_stretch_that_is_not_complete(
    steps: list[tuple[str, int]],
) -> None:
    reader = Reader(Stream())
    for name, amount in (*steps, ("read", 100), ("read", 100)):
        reader.step(name, amount)
    assert reader.position.is_at_end_of(reader.stream.state())
    assert reader.read >= set(reader.stream.ids)
    assert all(each <= reader.position.complete_since_ms for each in reader.lost)


@given(steps=st.lists(STEPS.filter(lambda step: step[0] in ("add", "read")), max_size=25))
def test_stream_of_which_nothing_goes_is_complete_from_the_beginning(
    steps: list[tuple[str, int]],
) -> None:
    stream, position = Stream(), StreamPosition()
    for name, amount in steps:
        if name == "add":
            for _ in range(amount):
                stream.add()
        else:
            ids = [f"{each}-0" for each in stream.behind(position.cursor, amount)]
            position = position.advance(stream.state(), ids, now_ms=NOW_MS, kept_ms=0)
            # All that was read may go: the service trims it.
            stream.trim(len(ids))
    assert position.complete_since_ms == 0


def read_all(
    stream: Stream, position: StreamPosition, *, now_ms: int = NOW_MS, kept_ms: int = 0
) -> StreamPosition:
    ids = [f"{each}-0" for each in stream.behind(position.cursor, 100)]
    return position.advance(stream.state(), ids, now_ms=now_ms, kept_ms=kept_ms)


def filled(*, counts: bool, entries: int = 5) -> Stream:
    stream = Stream(counts=counts)
    for _ in range(entries):
        stream.add()
    return stream


def test_trimmed_stretch_ends_with_the_first_entry_that_was_read() -> None:
    stream = filled(counts=True)
    stream.trim(3)
    assert read_all(stream, StreamPosition()).complete_since_ms == 4


def test_stream_that_was_emptied_unread_is_complete_since_its_last_entry() -> None:
    stream = filled(counts=True)
    stream.trim(5)
    position = read_all(stream, StreamPosition())
    assert (position.complete_since_ms, position.cursor) == (5, "5-0")


def test_older_copy_of_the_stream_is_read_from_its_beginning() -> None:
    position = StreamPosition("9-0", added=9)
    stream = filled(counts=True)
    position = read_all(stream, position)
    assert (position.cursor, position.complete_since_ms) == ("0-0", NOW_MS)
    assert not position.is_at_end_of(stream.state())
    assert read_all(stream, position).is_at_end_of(stream.state())


@pytest.mark.parametrize(
    ("looked_ms_ago", "complete_since_ms"), [(HOUR_MS // 2, 0), (2 * HOUR_MS, 6)]
)
def test_server_that_does_not_count_is_believed_while_nothing_new_can_be_old_enough_to_go(
    looked_ms_ago: int, complete_since_ms: int
) -> None:
    """What was read went for its age; what came since the last look is too young for that."""
    stream = filled(counts=False)
    now_ms = 10 * HOUR_MS
    position = read_all(stream, StreamPosition(), now_ms=now_ms - looked_ms_ago, kept_ms=HOUR_MS)
    before = position.complete_since_ms
    stream.trim(5)
    stream.add()
    position = read_all(stream, position, now_ms=now_ms, kept_ms=HOUR_MS)
    assert max(position.complete_since_ms, before) == max(complete_since_ms, before)


def test_server_that_does_not_count_is_not_believed_when_a_young_entry_went() -> None:
    stream = filled(counts=False)
    position = read_all(stream, StreamPosition(), now_ms=NOW_MS, kept_ms=HOUR_MS)
    stream.trim(5)
    stream.add()
    stream.add()
    stream.trim(1)
    # The cursor's entry has an id of just now, by this clock.
    assert read_all(stream, position, now_ms=100, kept_ms=HOUR_MS).complete_since_ms == 7


def test_first_look_at_a_stream_of_a_server_that_does_not_count_begins_with_its_first_entry() -> (
    None
):
    assert read_all(filled(counts=False), StreamPosition()).complete_since_ms == 1


def test_stream_that_began_after_the_first_look_is_complete_without_counts() -> None:
    stream = Stream(counts=False)
    position = read_all(stream, StreamPosition(), now_ms=9 * HOUR_MS, kept_ms=HOUR_MS)
    stream.add()
    position = read_all(stream, position, now_ms=9 * HOUR_MS + 1, kept_ms=HOUR_MS)
    assert position.complete_since_ms == 0


@given(st.builds(StreamPosition, st.just("7-1"), st.none() | st.integers(0), *[st.integers(0)] * 3))
def test_position_is_read_as_it_was_stored(position: StreamPosition) -> None:
    stored = {name: str(value) for name, value in position.fields().items()}
    assert StreamPosition.from_fields(stored) == position
