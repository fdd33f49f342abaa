"""The listener's parts import each other in one direction, and no folder is crowded."""

from tests.project import layers

CROWDED = {"listener/queue"}


def test_no_import_leads_up() -> None:
    assert layers.rising() == []


def test_every_part_stands_in_one_layer() -> None:
    parts = [part for layer in layers.LAYERS for part in layer]
    assert len(parts) == len(set(parts))
    found = {
        path.relative_to(layers.ROOT / "listener").parts[0].removesuffix(".py")
        for path in layers.modules()
    }
    assert found - {"__init__"} == set(parts)


def test_no_folder_has_more_modules_than_a_reader_can_survey() -> None:
    assert set(layers.crowded()) == CROWDED
