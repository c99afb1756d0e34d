from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import source_folders
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv

from shelfcast.ingest.bad_rows import check_rows, write_bad_rows
from shelfcast.ingest.quality import Check
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.ingest.walmart import read_folder
from shelfcast.snapshot import RAW_TABLES, empty_tables

Finding = tuple[str, int, str, str, str]

NUMBER = "must be a finite number like 1234.5, without thousands separators"
FLAG = "IsHoliday must be TRUE or FALSE, yes or no, or 1 or 0"
WHOLE = "must be a whole number from 1 to 999999999"
DAY = "must be a real date, written like 2012-01-27, without a time of day other than midnight"
ONCE = "Store,Dept,Date must be in the file once"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("walmart")


def read(folder: Path, lines: dict[str, list[str]]) -> SourceRows:
    return read_folder(source_folders.write(folder, lines), empty_tables())


def findings(source: SourceRows) -> list[Finding]:
    rows = source.findings.drop("name").to_pylist()
    return sorted(tuple(row.values()) for row in rows)  # type: ignore[arg-type]


def check_of(source: SourceRows, rule: str, max_share: float) -> Check:
    checks = check_rows(source.findings, source.row_count, max_share)
    return next(check for check in checks if check.rule == rule)


def test_good_folder(folder: Path) -> None:
    source = read(folder, source_folders.rows())
    assert findings(source) == []
    assert source.row_count == 24 + 12 + 2
    assert {table.name: source.tables[table.name].schema for table in RAW_TABLES} == {
        table.name: table.schema for table in RAW_TABLES
    }
    sales = source.tables["sales"].to_pylist()
    assert len(sales) == 24
    assert {str(key): str(value) for key, value in sales[4].items()} == {
        "store": "1",
        "dept": "1",
        "week": "2020-01-31",
        "weekly_sales": "1104.25",
        "is_holiday": "True",
    }
    assert source.tables["store_week"].slice(0, 1).to_pylist()[0] | {"week": None} == {
        "store": 1,
        "week": None,
        "temperature": 40.0,
        "fuel_price": 2.5,
        "cpi": 211.1,
        "unemployment": None,
        "markdown1": None,
        "markdown2": None,
        "markdown3": -3.5,
        "markdown4": None,
        "markdown5": 100.0,
        "is_holiday": False,
    }
    assert source.tables["store"].to_pylist() == [
        {"store": 1, "type": "A", "size": 151315.0},
        {"store": 2, "type": "B", "size": 37392.0},
    ]


@pytest.mark.parametrize("line_end", ["\r", "\r\n"])
def test_line_ends_and_byte_order_mark_change_nothing(tmp_path: Path, folder: Path, line_end: str) -> None:
    lines = source_folders.rows()
    source = read_folder(source_folders.write(tmp_path, lines, line_end, "\ufeff"), empty_tables())
    assert source.tables == read(folder, lines).tables
    assert findings(source) == []


@pytest.mark.parametrize(
    ("file", "line", "text", "column", "value", "rule"),
    [
        ("train.csv", 3, "1,1,2020-01-10,NA,FALSE", "Weekly_Sales", "NA", f"Weekly_Sales {NUMBER}"),
        ("train.csv", 3, "1,1,2020-01-10,,FALSE", "Weekly_Sales", "", f"Weekly_Sales {NUMBER}"),
        ("train.csv", 3, "1,1,2020-01-10,inf,FALSE", "Weekly_Sales", "inf", f"Weekly_Sales {NUMBER}"),
        ("train.csv", 3, "1,1,2020-01-10,1e999,FALSE", "Weekly_Sales", "1e999", f"Weekly_Sales {NUMBER}"),
        ("train.csv", 3, "1,1,2020-01-10,$5,FALSE", "Weekly_Sales", "$5", f"Weekly_Sales {NUMBER}"),
        ("train.csv", 3, "0,1,2020-01-10,5,FALSE", "Store", "0", f"Store {WHOLE}"),
        ("train.csv", 3, "1.5,1,2020-01-10,5,FALSE", "Store", "1.5", f"Store {WHOLE}"),
        ("train.csv", 3, "1,-1,2020-01-10,5,FALSE", "Dept", "-1", f"Dept {WHOLE}"),
        ("train.csv", 3, "1,9999999999,2020-01-10,5,FALSE", "Dept", "9999999999", f"Dept {WHOLE}"),
        (
            "train.csv",
            3,
            "1,1,2020-02-30,5,FALSE",
            "Date",
            "2020-02-30",
            f"Date {DAY}",
        ),
        (
            "train.csv",
            3,
            "1,1,20200110,5,FALSE",
            "Date",
            "20200110",
            f"Date {DAY}",
        ),
        (
            "train.csv",
            3,
            "1,1,2020-01-11,5,FALSE",
            "Date",
            "2020-01-11",
            "Date must be a Friday as most others are",
        ),
        ("train.csv", 3, "1,1,2020-01-10,5,maybe", "IsHoliday", "maybe", FLAG),
        (
            "train.csv",
            3,
            "1,1,2020-01-10,5,TRUE",
            "IsHoliday",
            "TRUE",
            "IsHoliday must be as in features.csv",
        ),
        (
            "train.csv",
            3,
            "9,1,2020-01-10,5,FALSE",
            "Store",
            "9",
            "Store must be in stores.csv, with good cells",
        ),
        ("train.csv", 3, "1,1,2020-01-10", "", "1,1,2020-01-10", "must have as many cells as the header"),
        (
            "train.csv",
            3,
            "1,1,2020-02-14,5,FALSE",
            "Store,Date",
            "1,2020-02-14",
            "Store,Date must be in features.csv, with good cells (NA for what is unknown)",
        ),
        ("stores.csv", 4, "3,a\tb,5", "Type", "a\tb", "Type must be text of 1 to 40 characters, or NA"),
        ("stores.csv", 4, "3,A,0", "Size", "0", "Size must be a number above 0, or NA"),
        (
            "features.csv",
            14,
            "1,2020-02-21,NA,x,NA,NA,NA,NA,NA,NA,NA,FALSE",
            "Fuel_Price",
            "x",
            f"Fuel_Price {NUMBER}, or NA",
        ),
    ],
)
def test_one_bad_row(
    folder: Path, file: str, line: int, text: str, column: str, value: str, rule: str
) -> None:
    lines = source_folders.rows()
    lines[file][line - 1 :] = [text, *lines[file][line:]]
    source = read(folder, lines)
    assert findings(source) == [(file, line, column, value, rule)]
    assert len(source.tables["sales"]) == (23 if file == "train.csv" else 24)


def test_every_copy_of_a_key_is_bad(folder: Path) -> None:
    lines = source_folders.rows()
    lines["train.csv"].append("1,1,2020-01-10,5,FALSE")
    lines["stores.csv"].append("2,C,5")
    source = read(folder, lines)
    key, unknown = "1,1,2020-01-10", "Store must be in stores.csv, with good cells"
    assert findings(source) == [
        *(("features.csv", line, "Store", "2", unknown) for line in range(8, 14)),
        ("stores.csv", 3, "Store", "2", "Store must be in the file once"),
        ("stores.csv", 4, "Store", "2", "Store must be in the file once"),
        ("train.csv", 3, "Store,Dept,Date", key, ONCE),
        *(("train.csv", line, "Store", "2", unknown) for line in range(14, 26)),
        ("train.csv", 26, "Store,Dept,Date", key, ONCE),
    ]


def test_a_row_with_two_wrong_cells_is_one_bad_row(folder: Path, tmp_path: Path) -> None:
    lines = source_folders.rows()
    lines["train.csv"][2] = "x,1,2020-01-10,y,FALSE"
    source = read(folder, lines)
    assert [finding[2] for finding in findings(source)] == ["Store", "Weekly_Sales"]
    assert write_bad_rows(source.findings, tmp_path / "bad-rows.csv") == 1


@settings(deadline=None)
@given(
    bad=st.dictionaries(
        st.integers(min_value=2, max_value=25), st.sampled_from(["NA", "nan", "1,000", "--1", "1e", ".", "é"])
    )
)
def test_exactly_the_bad_rows_are_reported_and_left_out(folder: Path, bad: dict[int, str]) -> None:
    lines = source_folders.rows()
    good = read(folder, lines).tables["sales"]
    for line, cell in bad.items():
        store, dept, week, _, holiday = lines["train.csv"][line - 1].split(",")
        lines["train.csv"][line - 1] = f'{store},{dept},{week},"{cell}",{holiday}'
    source = read(folder, lines)
    assert findings(source) == [
        ("train.csv", line, "Weekly_Sales", cell, f"Weekly_Sales {NUMBER}")
        for line, cell in sorted(bad.items())
    ]
    kept = [n for n in range(24) if n + 2 not in bad]
    assert source.tables["sales"] == good.take(pa.array(kept, pa.int64()))


def test_too_many_bad_rows(folder: Path, tmp_path: Path) -> None:
    lines = source_folders.rows()
    for line in range(2, 9):
        lines["train.csv"][line - 1] = lines["train.csv"][line - 1].replace(",FALSE", ",maybe")
    source = read(folder, lines)
    report = tmp_path / "bad-rows.csv"
    examples = [f"train.csv:{line} 'maybe': {FLAG}" for line in (2, 3, 4, 5, 7)]
    assert check_of(source, "bad-row-share", 0.1) == Check(
        "bad-row-share",
        6,
        examples,
        "6 of 38 source rows (15.79%) are bad and maxBadRowShare allows 10.00%",
    )
    assert check_of(source, "flag", 0.1) == Check("flag", 6, examples)
    write_bad_rows(source.findings, report)
    assert [list(row.values()) for row in csv.read_csv(report).to_pylist()] == [
        ["train.csv", line, "IsHoliday", "maybe", FLAG, "flag"] for line in (2, 3, 4, 5, 7, 8)
    ]


def test_as_many_bad_rows_as_allowed(folder: Path) -> None:
    lines = source_folders.rows()
    lines["train.csv"][1] = "bad"
    source = read(folder, lines)
    assert check_of(source, "bad-row-share", 1 / 38).rows == 0
    assert check_of(source, "cell-count", 1 / 38).rows == 1
    assert check_of(source, "bad-row-share", 0.999 / 38).rows == 1


def test_a_long_line_is_cut_in_examples_and_whole_in_the_file(folder: Path, tmp_path: Path) -> None:
    lines = source_folders.rows()
    lines["train.csv"][1] = "x" * 10_000
    report = tmp_path / "bad-rows.csv"
    source = read(folder, lines)
    write_bad_rows(source.findings, report)
    example = check_of(source, "cell-count", 1).examples[0]
    assert example == f"train.csv:2 '{'x' * 80}...': must have as many cells as the header"
    assert "x" * 10_000 in report.read_text()


def test_without_a_bad_row_there_is_no_report(folder: Path, tmp_path: Path) -> None:
    source = read(folder, source_folders.rows())
    assert write_bad_rows(source.findings, tmp_path / "bad-rows.csv") == 0
    assert list(tmp_path.iterdir()) == []


def test_real_data_have_no_bad_row(walmart: Path) -> None:
    source = read_folder(walmart, empty_tables())
    assert findings(source) == []
    # The ids are those of 45 stores, 81 departments and 3 store types.
    assert [len(source.tables[table.name]) for table in RAW_TABLES] == [305_982, 4_680, 45, 0, 0, 129, 0, 0]
