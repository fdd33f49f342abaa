"""How many messages a consumer asks for after a connection broke on an answer."""

from listener.consumer.portion import Portion


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
    for _ in range(40):
        before = portion.size
        portion.grow()
        assert before < portion.size <= before + max(1, before // 8) or portion.size == 100
    assert portion.size == 100
