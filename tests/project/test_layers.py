"""Within a package, its parts import each other in one direction, and no folder is crowded."""

import pytest

from tests.project import layers
from tests.project.layers import Package

PACKAGES = [pytest.param(package, id=package.name) for package in layers.PACKAGES]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_leads_up(package: Package) -> None:
    assert layers.rising(package) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_library_is_imported_only_where_its_work_is_done(package: Package) -> None:
    assert layers.misplaced_libraries(package) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_part_stands_in_one_layer(package: Package) -> None:
    parts = [part for layer in package.layers for part in layer]
    assert len(parts) == len(set(parts))
    found = set(map(layers.part_at, layers.modules(package)))
    assert found - {"__init__"} == set(parts)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_modules_than_a_reader_can_survey(package: Package) -> None:
    assert layers.crowded(package) == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_imports_of_a_file_share_a_name(package: Package) -> None:
    """Python replaces the first one silently; ruff refuses that, so that one of them needs an alias."""
    assert layers.aliases(package) == []
