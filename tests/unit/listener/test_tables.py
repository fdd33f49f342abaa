"""Tables on terminals of any width: what is copied into the next command is never broken."""

from collections.abc import Sequence

import pytest

from listener.cli.render import screen
from listener.cli.render.tables import Table

IDS = ["1795411098307-0", "1795411098308-12"]
UPGRADE = "60b5d639-ccdc-4db8-8824-069bd94c95bf"
TIME = "2026-11-23 05:18:18Z"
GROUP = "billing of the south"
ERRORS = [
    f"KeyError: no tariff for {UPGRADE}",
    "KeyError: no tariff for anybody, or so it seems here",
]


def letters(groups: Sequence[str] = (GROUP, GROUP)) -> Table:
    table = Table(
        ("id", "failed", "group", "upgrade", "error", "deliveries"),
        right_aligned=("deliveries",), prose=("error",), once=("group", "deliveries"),
    )  # fmt: skip
    for entry_id, group, error in zip(IDS, groups, ERRORS, strict=False):
        table.add_row(entry_id, TIME, group, UPGRADE, error, 5)
    return table


def drawn(
    table: Table, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    monkeypatch.setattr(screen, "PIPE_WIDTH", width)
    table.print()
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40, 20])
def test_id_or_time_is_never_broken(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = drawn(letters(["billing", GROUP]), width, monkeypatch, capsys)
    for word in (*IDS, GROUP, "billing", TIME, UPGRADE):
        assert any(word in line for line in lines), (word, lines)
    # A single word may be wider than the terminal, nothing else.
    assert all(len(line) <= max(width, len(f"  upgrade {UPGRADE};")) for line in lines), lines


def test_value_that_all_rows_share_stands_above_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    above, empty, head, _, *rows = drawn(letters(), 200, monkeypatch, capsys)
    assert (above, empty) == (f"The same in all 2: group {GROUP}; deliveries 5", "")
    assert head.split() == ["id", "failed", "upgrade", "error"]
    assert [row.split()[0] for row in rows] == IDS


def test_value_of_the_only_row_and_different_values_stay_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    head, _, row = drawn(letters([GROUP]), 200, monkeypatch, capsys)
    assert head.split()[2:] == ["group", "upgrade", "error", "deliveries"]
    assert GROUP in row
    above, *_ = drawn(letters(["billing", GROUP]), 200, monkeypatch, capsys)
    assert above == "The same in all 2: deliveries 5"


def test_each_row_is_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(("id", "begins"), prose=("begins",))
    table.add_row(IDS[0], "word " * 200)
    table.print()
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_strangers_text_is_no_markup_in_any_layout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "[bold]\x1b[2J\N{NO-BREAK SPACE}[/] :smile:"
    for width in (200, 10):
        table = Table(("id", "account"), once=("account",))
        table.add_row(IDS[0], hostile)
        shown = drawn(table, width, monkeypatch, capsys)
        assert any("[bold] [2J [/] :smile:" in line for line in shown), shown
