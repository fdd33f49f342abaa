"""How much a consumer asks for after a connection broke on a reply."""

from listener.consumer.outages import REPLIES_BEFORE_RETRY, AdaptiveSize


def test_size_is_halved_until_it_is_one_message() -> None:
    adaptive = AdaptiveSize(100)
    sizes = []
    for _ in range(9):
        adaptive.shrink()
        sizes.append(adaptive.size)
    assert sizes == [50, 25, 12, 6, 3, 1, 1, 1, 1]


def test_size_grows_again_to_what_it_was_and_no_further() -> None:
    adaptive = AdaptiveSize(100)
    for _ in range(9):
        adaptive.shrink()
    for _ in range(REPLIES_BEFORE_RETRY + 40):
        before = adaptive.size
        adaptive.grow()
        assert before <= adaptive.size <= before + max(1, before // 8)
    assert adaptive.size == 100


def test_size_returns_seldom_to_a_size_on_which_the_connection_broke() -> None:
    # Four messages fit into a reply, five do not.
    adaptive, broken = AdaptiveSize(100), 0
    for _ in range(200):
        if adaptive.size > 4:
            broken += 1
            adaptive.shrink()
        else:
            adaptive.grow()
    assert broken < 200 / REPLIES_BEFORE_RETRY


def test_size_begins_small_fits_what_is_wanted_and_grows_from_there() -> None:
    adaptive = AdaptiveSize(100, initial=16)
    assert adaptive.size == 16
    adaptive.limit(40)
    assert adaptive.size == 16
    adaptive.limit(0)
    assert adaptive.size == 1
    adaptive.grow()
    assert adaptive.size == 2
    assert AdaptiveSize(10, initial=16).size == 10


def test_size_does_not_shrink_below_its_least() -> None:
    adaptive = AdaptiveSize(2**23, smallest=2**13)
    for _ in range(30):
        adaptive.shrink()
    assert adaptive.size == 2**13
