"""The listener's parts import each other in one direction, and no folder is crowded."""

from tests.project import layers


def test_no_import_leads_up() -> None:
    assert layers.rising() == []


def test_a_library_is_imported_only_where_its_work_is_done() -> None:
    assert layers.misplaced_libraries() == []


def test_every_part_stands_in_one_layer() -> None:
    parts = [part for layer in layers.LAYERS for part in layer]
    assert len(parts) == len(set(parts))
    found = set(map(layers.part_at, layers.modules()))
    assert found - {"__init__"} == set(parts)


def test_no_folder_has_more_modules_than_a_reader_can_survey() -> None:
    assert layers.crowded() == {}


def test_no_two_imports_of_a_file_share_a_name() -> None:
    """Python replaces the first one silently; ruff refuses that, so that one of them needs an alias."""
    assert layers.aliases() == []
