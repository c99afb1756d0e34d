from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from shelfcast.contracts.specs import Declaration, LongSource
from shelfcast.ingest import workbook
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import IDS, SALES, empty_tables

HEADER = ["store", "dept", "week", "sales"]
WEEKS = [date(2024, 1, 5) + timedelta(7 * n) for n in range(70)]
ROWS: list[list[Any]] = [[7, "007", week, n + 0.234] for n, week in enumerate(WEEKS)]


def book_of(**sheets: Sequence[Sequence[Any]]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    del book[book.sheetnames[0]]
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    return book


def bytes_of(book: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def load(
    folder: Path, data: bytes, declaration: Declaration | None = None, name: str = "sales.xlsx"
) -> SourceRows:
    (folder / name).write_bytes(data)
    return read_long_source(LongSource(path=str(folder), declaration=declaration), empty_tables())


def ids_of(rows: SourceRows, of: str) -> list[str]:
    ids = rows.tables[IDS.name]
    return sorted(row["id"] for row in ids.to_pylist() if row["of"] == of)


def test_cells_arrive_as_what_they_are(tmp_path: Path) -> None:
    header = [*HEADER, "holiday"]
    cells = [
        [4006381333931, "007", datetime(2024, 1, 5), 1234.5, True],
        [7.0, "7 b", date(2024, 1, 5), 3, False],
        ["CA_1", "007", date(2024, 1, 5), -0.25, "no"],
    ]
    rows = load(tmp_path, bytes_of(book_of(Data=[[], header, *cells[:1], [], *cells[1:]], Empty=[])))
    assert ids_of(rows, "store") == ["4006381333931", "7", "CA_1"]
    assert ids_of(rows, "dept") == ["007", "7 b"]
    assert rows.tables[SALES.name]["weekly_sales"].to_pylist() == [1234.5, 3, -0.25]
    assert set(rows.tables[SALES.name]["week"].to_pylist()) == {date(2024, 1, 5)}
    assert (rows.row_count, len(rows.findings)) == (3, 0)


def test_a_bad_row_is_named_by_its_row_of_the_sheet(tmp_path: Path) -> None:
    bad = [[123456789012345678.0, 1, WEEKS[0], 5], [1, 1, 45296, 5], [2, 1, WEEKS[0], "12 pieces"]]
    rows = load(tmp_path, bytes_of(book_of(Data=[HEADER, *ROWS, [], *bad])))
    found = {(row["line"], row["column"], row["value"]) for row in rows.findings.to_pylist()}
    assert found == {
        (73, "store", "1.23456789012346E+17"),
        (74, "week", "45296"),
        (75, "sales", "12 pieces"),
    }


@pytest.mark.parametrize("ending", ["xlsx", "parquet"])
def test_a_declared_form_is_that_of_text(tmp_path: Path, ending: str) -> None:
    declaration = Declaration(decimal=",", date_format="DD.MM.YYYY")
    columns = [pa.array(column) for column in zip(*ROWS, strict=True)]
    if ending == "xlsx":
        rows = load(tmp_path, bytes_of(book_of(Data=[HEADER, *ROWS])), declaration)
    else:
        parquet.write_table(pa.table(columns, HEADER), tmp_path / "sales.parquet")
        rows = read_long_source(LongSource(path=str(tmp_path), declaration=declaration), empty_tables())
    # 1.234 is not 1234, as it would be in a text with decimal commas.
    assert rows.tables[SALES.name]["weekly_sales"].to_pylist()[:3] == [0.234, 1.234, 2.234]
    assert len(rows.findings) == 0


@pytest.mark.parametrize("rest", [[5, 0.234], ["5", "7"]])
def test_a_number_that_is_text_is_read_like_one_of_csv(tmp_path: Path, rest: list[Any]) -> None:
    def sales(texts: list[Any], declaration: Declaration | None = None) -> tuple[list[float], list[str]]:
        cells = [[1, 1, week, value] for week, value in zip(WEEKS, [*texts, *rest], strict=False)]
        rows = load(tmp_path, bytes_of(book_of(Data=[HEADER, *cells])), declaration)
        assert len(rows.findings) == 0
        return rows.tables[SALES.name]["weekly_sales"].to_pylist(), rows.notes

    plain = [float(value) for value in rest]
    with pytest.raises(
        UserError, match=r"sales\.xlsx:2: 1\.234 has two meanings.*; convert such texts to numbers in the"
    ):
        sales(["1.234"])
    assert sales(["1.234", "1.234,5"]) == (
        [1234, 1234.5, *plain],
        ["sales.xlsx: numbers have decimal commas, like 1.234,5"],
    )
    assert sales(["1.234", "12.5"]) == ([1.234, 12.5, *plain], [])
    assert sales(["1.234"], Declaration(decimal=","))[0] == [1234, *plain]
    assert sales(["1.234"], Declaration(decimal="."))[0] == [1.234, *plain]


def test_a_sheet_is_chosen(tmp_path: Path) -> None:
    other = [[*row[:3], 1] for row in ROWS]
    book = book_of(Shops=[HEADER, *other], Sales=[HEADER, *ROWS])
    with pytest.raises(
        UserError, match=r'2 sheets with data: Shops, Sales; .* "sheet": "Shops" \(--sheet "Shops"\)'
    ):
        load(tmp_path, bytes_of(book))
    rows = load(tmp_path, bytes_of(book), Declaration(sheet="sales"))
    assert rows.tables[SALES.name]["weekly_sales"][0].as_py() == 0.234
    with pytest.raises(UserError, match="has no sheet Sale, but 2 sheets with data"):
        load(tmp_path, bytes_of(book), Declaration(sheet="Sale"))
    book["Shops"].sheet_state = "hidden"
    rows = load(tmp_path, bytes_of(book))
    assert rows.notes == ["sales.xlsx: the hidden sheet Shops is not read"]
    with pytest.raises(
        UserError, match=r"sheet of source\.declaration is Sale, which no file has; sales\.xlsx has Sales"
    ):
        load(tmp_path, bytes_of(book), Declaration(sheet="Sale"))
    (tmp_path / "sales.xlsx").unlink()
    text = "\n".join([",".join(HEADER), *(",".join(map(str, row)) for row in ROWS)])
    with pytest.raises(UserError, match="which no file has; no file is a workbook"):
        load(tmp_path, text.encode(), Declaration(sheet="Sale"), "sales.csv")


@pytest.mark.parametrize("titles", [[["Sales of 2024"]], [["Sales of", "2024"], [], ["printed", "today"]]])
def test_titles_above_the_header_get_a_sentence(tmp_path: Path, titles: list[list[str]]) -> None:
    book = book_of(Data=[*titles, HEADER, *ROWS])
    row = len(titles) + 1
    with pytest.raises(
        UserError,
        match=rf"cell A1 of sheet Data has 'Sales of.*the header seems to be row {row}: delete",
    ):
        load(tmp_path, bytes_of(book))


def test_cells_without_a_value_get_a_sentence(tmp_path: Path) -> None:
    def sheet_with(cell: str, value: object, kind: str | None = None) -> bytes:
        book = book_of(Data=[[*HEADER, "note"], *ROWS])
        book["Data"][cell] = value
        if kind is not None:
            book["Data"][cell].data_type = kind
        return bytes_of(book)

    with pytest.raises(UserError, match=r"in sheet Data, D3 is #REF!; correct their formulas"):
        load(tmp_path, sheet_with("D3", "#REF!", "e"))
    with pytest.raises(
        UserError, match="in sheet Data, D4 has a formula without its result; open the workbook"
    ):
        load(tmp_path, sheet_with("D4", "=D3*2"))
    # The column is not read.
    assert len(load(tmp_path, sheet_with("E3", "#REF!", "e")).tables[SALES.name]) == 70
    book = book_of(Data=[HEADER, *ROWS])
    book["Data"].merge_cells("A2:A5")
    with pytest.raises(UserError, match="in sheet Data, A3 is merged, A4 is merged, A5 is merged; split it"):
        load(tmp_path, bytes_of(book))


def with_formula(element: bytes, content: bytes) -> bytes:
    """Returns a workbook with a formula in D4, whose sheet has the content in place of an element."""
    book = book_of(Data=[HEADER, *ROWS])
    book["Data"]["D4"] = "=D3*2"
    data = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bytes_of(book))) as old, zipfile.ZipFile(data, "w") as new:
        for member in old.infolist():
            text = old.read(member)
            if member.filename == "xl/worksheets/sheet1.xml":
                text, count = re.subn(element, content, text, count=1, flags=re.DOTALL)
                assert count == 1
            new.writestr(member.filename, text)
    return data.getvalue()


def test_a_formula_with_an_empty_text_is_an_empty_cell(tmp_path: Path) -> None:
    data = with_formula(rb'<c r="D4".*?</c>', b'<c r="D4" t="str"><f>D3*2</f><v></v></c>')
    assert len(load(tmp_path, data).tables[SALES.name]) == 69


def test_a_formula_outside_the_size_that_a_sheet_tells_is_found(tmp_path: Path) -> None:
    data = with_formula(rb"<dimension[^>]*>", b'<dimension ref="A1"/>')
    with pytest.raises(UserError, match="in sheet Data, D4 has a formula without its result"):
        load(tmp_path, data)


def test_a_format_behind_the_data_costs_nothing(tmp_path: Path) -> None:
    book = book_of(Data=[HEADER, *ROWS], Empty=[])
    for sheet in book.worksheets:
        sheet["XFD1048576"].number_format = "0.00"
    rows = load(tmp_path, bytes_of(book))
    assert (len(rows.tables[SALES.name]), rows.unread) == (70, [])


def test_a_workbook_that_cannot_be_read_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = bytes_of(book_of(Data=[HEADER, *ROWS]))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    for data in (b"", b"PK", good[: len(good) // 2], other.getvalue()):
        with pytest.raises(
            UserError, match=r"cannot read sales\.xlsx as a workbook: .*; save it as \.xlsx again"
        ):
            load(tmp_path, data)
    with pytest.raises(UserError, match=r"has a password, or is a workbook of Excel before 2007; save it as"):
        load(tmp_path, b"\xd0\xcf\x11\xe0" + good)
    with pytest.raises(UserError, match="sheet Data is empty"):
        load(tmp_path, bytes_of(book_of(Data=[])), Declaration(sheet="Data"))
    with pytest.raises(UserError, match="has a header but no rows"):
        load(tmp_path, bytes_of(book_of(Data=[HEADER])))
    far = book_of(Data=[HEADER, *ROWS])
    far["Data"]["XFD1048576"] = "x"
    with pytest.raises(
        UserError, match="reaches to row 1048576 and column 16384; delete the rows and columns"
    ):
        load(tmp_path, bytes_of(far))
    monkeypatch.setattr(workbook, "LARGEST_WORKBOOK", 2**10)
    with pytest.raises(UserError, match="MiB when unzipped; save its sheet as CSV or Parquet"):
        load(tmp_path, good)
