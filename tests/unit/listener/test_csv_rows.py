"""An exported cell is no formula, whatever a spreadsheet takes for the separator, and `data` stays the same value."""

import csv
import io
import json
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener.cli.render import csv_rows
from listener.inspection.stream_entry import StreamEntry

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
SEPARATORS = [";", ",", "\t", "|", " ", ":", "/", "'", '"', "\n", "\r\n", "\0", "\u00a0", "\u200b"]
PAYLOADS = [
    "{sign}1+1",
    "a{sep}{sign}1+1{sep}b",
    "a{sep} {sign}1+1",
    'a{sep}"{sign}1+1"{sep}b',
    "a{sep}{sep}{sign}cmd|' /C calc'!A0",
    "{sep}{sign}{sign}1",
    "{sep}\\{sign}1",
]


def attacks() -> Iterator[str]:
    for payload in PAYLOADS:
        for sep in SEPARATORS:
            for sign in SIGNS:
                yield payload.format(sep=sep, sign=sign)


def row_of(text: str) -> list[str]:
    data = json.dumps({"a": text, text: [text, f"{text}\n{text}"]}, ensure_ascii=False)
    fields = dict.fromkeys(("account", "subject", "source", "requestid", "type"), text)
    return csv_rows.cells(StreamEntry("7-1", {**fields, "kind": "unknown", "data": data}, 2))


def written(row: list[str]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(row)
    return file.getvalue()


@pytest.mark.parametrize("sep", [*";,\t| :/", '"', "\\"])
def test_no_cell_begins_like_a_formula_whatever_the_separator(sep: str) -> None:
    for text in attacks():
        line = written(row_of(text))
        assert line.count("\n") == 1
        # With and without quotes that count, and what a spreadsheet may skip before a formula.
        read = [next(csv.reader([line], delimiter=sep))] if sep != '"' else []
        for cells in (*read, line.rstrip("\n").split(sep)):
            begun = [cell.lstrip(' "\\') for cell in cells]
            assert not [cell for cell in begun if cell.startswith(tuple(SIGNS))], (text, line)


def test_every_sign_that_unicode_calls_compatible_is_known() -> None:
    letters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    signs = {it for it in letters if unicodedata.normalize("NFKC", it) in tuple("=+-@\u2212")}
    assert signs == set(csv_rows.SIGNS)


def test_data_is_the_same_value_for_programs() -> None:
    for text in attacks():
        data = {"a": text, text: [text, f"{text}\n{text}"]}
        assert json.loads(row_of(text)[-1]) == data
    numbers = '{"a":-5,"b":[-1,1e-5,1e+5],"c":"2026-11-23","d":"\\\\=","e":"\\"=1"}'
    (cell,) = csv_rows.cells(StreamEntry("7-1", {"data": numbers}))[-1:]
    assert json.loads(cell) == json.loads(numbers)
    assert '"2026-11-23"' in cell


def test_text_without_control_characters_can_be_had_back() -> None:
    for text in attacks():
        if text.isprintable():
            cell = row_of(text)[4]
            assert re.sub(f"'([{re.escape(csv_rows.SIGNS)}])", r"\1", cell) == text


def test_ordinary_values_stay_as_they_are() -> None:
    fields = {
        "time": "2026-11-23T08:00:00.000000Z",
        "account": "0242078689-00001",
        "subject": "e3a8d88a-04c6-4ef3-b039-89b62f91e962",
        "kind": "upgrade-finished",
        "data": '{"a":"2026-11-23"}',
    }
    row = dict(zip(csv_rows.COLUMNS, csv_rows.cells(StreamEntry("7-1", fields)), strict=True))
    assert fields.items() <= row.items()


@pytest.mark.parametrize("data", ["=1+1", "a;=1+1;b", '{"a":"=1"', "[" * 100_000 + "=1"])
def test_data_that_is_no_json_holds_no_formula_either(data: str) -> None:
    (cell,) = csv_rows.cells(StreamEntry("7-1", {"data": data}))[-1:]
    assert re.search("(?<!')=", cell) is None


@pytest.mark.slow
def test_libreoffice_finds_no_formula(tmp_path: Path) -> None:
    """LibreOffice's own import with comma, semicolon, tab and blank as separators at once."""
    if not (soffice := shutil.which("soffice")):
        pytest.skip("LibreOffice is too large to be installed for this; the other tests model it")
    rows = [row_of(text) for text in attacks()]
    formulas = {}
    for name, lines in (
        ("mended", "".join(map(written, rows))),
        ("raw", written(["7-1", "a;=1+1;b"])),
    ):
        (tmp_path / f"{name}.csv").write_text(lines)
        profile = f"-env:UserInstallation=file://{tmp_path}/profile"
        options = "44/59/9/32,34,76,1,,0,false,true,false,false,false,-1,true"
        how = f"--infilter=Text - txt - csv (StarCalc):{options}"
        command = (soffice, profile, "--headless", how, "--convert-to", "fods", f"{name}.csv")
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
        formulas[name] = (tmp_path / f"{name}.fods").read_text().count("table:formula=")
    assert formulas == {"mended": 0, "raw": 1}
