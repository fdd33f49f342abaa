"""How many messages a consumer asks for after a connection broke on an answer."""

from listener.consumer.portion import PASSES_BEFORE_RETRY, Portion


def test_portion_is_halved_until_it_is_one_message() -> None:
    portion = Portion(100)
    sizes = []
    for _ in range(9):
        portion.shrink()
        sizes.append(portion.size)
    assert sizes == [50, 25, 12, 6, 3, 1, 1, 1, 1]


def test_portion_grows_again_to_what_it_was_and_no_further() -> None:
    portion = Portion(100)
    for _ in range(9):
        portion.shrink()
    for _ in range(PASSES_BEFORE_RETRY + 40):
        before = portion.size
        portion.grow()
        assert before <= portion.size <= before + max(1, before // 8)
    assert portion.size == 100


def test_portion_returns_seldom_to_a_size_on_which_the_connection_broke() -> None:
    # Four messages fit into an answer, five do not.
    portion, broken = Portion(100), 0
    for _ in range(200):
        if portion.size > 4:
            broken += 1
            portion.shrink()
        else:
            portion.grow()
    assert broken < 200 / PASSES_BEFORE_RETRY


def test_portion_begins_small_fits_what_is_wanted_and_grows_from_there() -> None:
    portion = Portion(100, first=16)
    assert portion.size == 16
    portion.fit(40)
    assert portion.size == 16
    portion.fit(0)
    assert portion.size == 1
    portion.grow()
    assert portion.size == 2
    assert Portion(10, first=16).size == 10


def test_portion_does_not_shrink_below_its_least() -> None:
    portion = Portion(2**23, least=2**13)
    for _ in range(30):
        portion.shrink()
    assert portion.size == 2**13
