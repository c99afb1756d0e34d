from __future__ import annotations

import contextlib
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import long_files
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv, parquet

from shelfcast import calendar
from shelfcast.contracts.specs import Declaration, LongSource
from shelfcast.contracts.wire import decode
from shelfcast.ingest.long_source import read_long_folder, read_long_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import RAW_TABLES, empty_tables

NOTHING = empty_tables()
NUMBER = "must be a finite number like 1234.5, without thousands separators"
ORDER = [("store", "ascending"), ("week", "ascending")]


def read(folder: Path, lines: dict[str, list[str]], known: dict[str, pa.Table] = NOTHING) -> SourceRows:
    return read_long_folder(str(long_files.write(folder, lines)), "utf-8", known)


def findings(source: SourceRows) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in source.findings.to_pylist())


def test_a_good_folder(tmp_path: Path) -> None:
    source = read(tmp_path, long_files.rows())
    assert findings(source) == []
    assert (source.row_count, source.unread) == (24 + 12 + 2, [])
    for raw in RAW_TABLES:
        assert source.tables[raw.name].schema == raw.schema
    sales, weeks = source.tables["sales"], source.tables["store_week"]
    assert sales["weekly_sales"].to_pylist()[::6] == [1001.25, 1007.25, 2001.25, 2007.25]
    assert weeks["temperature"].to_pylist() == [40.5] * 12
    assert weeks["cpi"].null_count == 12
    assert source.tables["store"]["type"].to_pylist() == ["A", "B"]


def test_without_a_flag_the_calendar_s_holidays_count(tmp_path: Path) -> None:
    source = read(tmp_path, long_files.rows())
    for name in ("sales", "store_week"):
        flags = {row["week"]: row["is_holiday"] for row in source.tables[name].to_pylist()}
        assert flags == {week: calendar.is_holiday(week) for week in flags}
        assert sum(flags.values()) == 1


@pytest.mark.parametrize("words", [("yes", "no"), ("Y", "n"), ("1", "0"), ("1.0", "0.0"), ("TRUE", "false")])
def test_flags_have_many_words(tmp_path: Path, words: tuple[str, str]) -> None:
    lines = long_files.rows()
    for name in ("sales", "store_weeks"):
        header, *rows = lines[name]
        lines[name] = [f"{header},holiday", *(f"{row},{words['01-10' not in row]}" for row in rows)]
    source = read(tmp_path, lines)
    assert findings(source) == []
    assert {row["week"] for row in source.tables["sales"].to_pylist() if row["is_holiday"]} == {
        date(2020, 1, 10)
    }


def test_a_row_without_sales_is_a_week_without_a_row(tmp_path: Path) -> None:
    lines = long_files.rows()
    for line, cell in ((1, ""), (5, "NA")):
        lines["sales"][line] = f"{lines['sales'][line].rsplit(',', 1)[0]},{cell}"
    whole, source = read(tmp_path / "whole", long_files.rows()), read(tmp_path / "some", lines)
    assert findings(source) == []
    kept = [n for n in range(24) if n not in (0, 4)]
    assert source.tables["sales"] == whole.tables["sales"].take(pa.array(kept))
    first, _ = source.empty_sales
    row = whole.tables["sales"].slice(0, 1).to_pylist()[0]
    assert first == f"store {row['store']} dept {row['dept']} week {row['week']}"


def test_a_row_without_sales_keeps_what_else_it_tells(tmp_path: Path) -> None:
    weeks = [f"{long_files.FIRST_WEEK + timedelta(weeks=n)}" for n in range(6)]
    rows = [f"1,2,{week},{'' if n == 3 else 7},{n != 3:d}" for n, week in enumerate(weeks)]
    lines = ["store,dept,week,sales,stock", *rows]
    (tmp_path / "sales.csv").write_text("\n".join([*lines, ""]))
    declaration = decode(Declaration, {"columns": {"stock": "stock"}, "missingWeeks": "zero"}, "test")
    source = read_long_source(LongSource(path=str(tmp_path), declaration=declaration), NOTHING)
    assert source.empty_sales == (f"store 1 dept 2 week {weeks[3]}",)
    assert len(source.tables["sales"]) == 5
    extras = source.tables["extra"].filter(pc.equal(source.tables["extra"]["value"], 0)).to_pylist()
    assert [(row["week"].isoformat(), row["value"]) for row in extras if row["dept"] == 2] == [
        (weeks[3], 0.0)
    ]


@pytest.mark.parametrize(("stock", "bad"), [(False, 0), (True, 2)])
def test_a_day_without_sales_is_a_day_without_a_row_unless_its_stock_counts(
    tmp_path: Path, stock: bool, bad: int
) -> None:
    days = [long_files.FIRST_WEEK + timedelta(days=n) for n in range(70)]
    cells = [f"1,2,{day},{'' if n in (30, 31) else 1},5" for n, day in enumerate(days)]
    (tmp_path / "sales.csv").write_text("\n".join(["store,dept,week,sales,stock", *cells, ""]))
    columns = {"columns": {"stock": "stock"}} if stock else {}
    declaration = decode(Declaration, {"sum": "days", **columns}, "test")
    source = read_long_source(LongSource(path=str(tmp_path), declaration=declaration), NOTHING)
    assert (len(source.findings), len(source.empty_sales)) == (bad, 2 - bad)
    assert sorted(source.tables["sales"]["weekly_sales"].to_pylist())[:3] == [6, 6, 7]


def test_flags_of_the_files_win(tmp_path: Path) -> None:
    lines = long_files.rows()
    for name in ("sales", "store_weeks"):
        header, *rows = lines[name]
        lines[name] = [f"{header},holiday", *(f"{row},{'t' if '01-10' in row else 'FALSE'}" for row in rows)]
    source = read(tmp_path, lines)
    assert findings(source) == []
    for name in ("sales", "store_week"):
        weeks = {row["week"] for row in source.tables[name].to_pylist() if row["is_holiday"]}
        assert weeks == {date(2020, 1, 10)}

    lines["sales"][2] = lines["sales"][2].replace(",t", ",FALSE")
    source = read(tmp_path, lines)
    rule = "holiday must be the same in all rows of a store's week"
    assert findings(source) == [
        ("sales.csv", 3, "holiday", "FALSE", rule, "same-holiday"),
        ("sales.csv", 9, "holiday", "t", rule, "same-holiday"),
    ]


def test_a_flag_in_one_file_only_is_refused(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"] = [f"{row},{'holiday' if n == 0 else 'FALSE'}" for n, row in enumerate(lines["sales"])]
    with pytest.raises(UserError, match=r"sales\.csv has a column holiday and store_weeks\.csv has none"):
        read(tmp_path, lines)


def test_store_weeks_come_from_sales_where_nothing_is_known(tmp_path: Path) -> None:
    lines = long_files.rows()
    with_file = read(tmp_path / "with", lines).tables["store_week"]
    lines["store_weeks"] = lines["store_weeks"][:2]
    some = read(tmp_path / "some", lines).tables["store_week"].sort_by(ORDER)
    del lines["store_weeks"]
    without = read(tmp_path / "without", lines).tables["store_week"].sort_by(ORDER)
    key = ["store", "week", "is_holiday"]
    assert some.select(key) == without.select(key) == with_file.select(key)
    assert some["temperature"].to_pylist() == [40.5, *[None] * 11]
    assert without["temperature"].null_count == 12
    # Known values of a week are not replaced by "unknown".
    known = {**NOTHING, "store_week": with_file.slice(0, 11)}
    assert (
        read(tmp_path / "without", lines, known).tables["store_week"].to_pylist() == without.to_pylist()[11:]
    )


@pytest.mark.parametrize(
    ("file", "text", "column", "value", "rule", "name"),
    [
        ("sales", '1,1,2020-01-10,"1,000.5"', "sales", "1,000.5", f"sales {NUMBER}, or NA", "number"),
        (
            "sales",
            "1,1,2020-01-10,1.000,5",
            "",
            "1,1,2020-01-10,1.000,5",
            "must have as many cells as the header",
            "cell-count",
        ),
        (
            "sales",
            "1,1,2020-01-11,5",
            "week",
            "2020-01-11",
            "week must be a Friday as most others are",
            "weekday",
        ),
        (
            "sales",
            "3,1,2020-01-10,5",
            "store",
            "3",
            "store must be in stores.csv, with good cells",
            "store-in-file",
        ),
        ("store_weeks", "1,2020-01-10,mild", "temperature", "mild", f"temperature {NUMBER}, or NA", "number"),
        ("stores", "3,A,0", "size", "0", "size must be a number above 0, or NA", "number-above-zero"),
    ],
)
def test_one_bad_row(
    tmp_path: Path, file: str, text: str, column: str, value: str, rule: str, name: str
) -> None:
    lines = long_files.rows()
    if file == "stores":
        lines[file].append(text)
    else:
        lines[file][2] = text
    line = 4 if file == "stores" else 3
    assert findings(read(tmp_path, lines)) == [(f"{file}.csv", line, column, value, rule, name)]


def test_every_copy_of_a_key_is_bad(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"].append("1,1,2020-01-10,5")
    assert [(f[1], f[5]) for f in findings(read(tmp_path, lines))] == [(3, "unique-key"), (26, "unique-key")]


def test_columns_that_nobody_reads_are_named(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["stores"] = ["store,type,size,city", "1,A,151315,X", "2,B,37392,Y"]
    assert read(tmp_path, lines).unread == ["stores.csv: city"]


def test_parquet_is_as_csv(tmp_path: Path) -> None:
    expected = read(tmp_path / "csv", long_files.rows())
    folder = tmp_path / "parquet"
    folder.mkdir()
    for name in long_files.rows():
        table = csv.read_csv(tmp_path / "csv" / f"{name}.csv")
        parquet.write_table(table, folder / f"{name}.parquet")
    source = read_long_folder(str(folder), "utf-8", NOTHING)
    assert source.tables == expected.tables
    assert findings(source) == []


def test_parquet_keeps_every_bit_and_finds_what_is_no_value(tmp_path: Path) -> None:
    long_files.write(tmp_path, {"stores": ["store,type,size", "1,A,5"]})
    sales = [0.1 + 0.2, 5e-324, -1.7976931348623157e308, float("nan"), None]
    weeks = [datetime(2020, 1, 3 + 7 * n) for n in range(4)] + [datetime(2020, 1, 31)]
    rows = pa.table({"store": [1] * 5, "dept": [2] * 5, "week": weeks, "sales": sales})
    parquet.write_table(rows, tmp_path / "sales.parquet")
    source = read_long_folder(str(tmp_path), "utf-8", NOTHING)
    assert source.tables["sales"]["weekly_sales"].to_pylist() == sales[:3]
    assert [finding[:4] for finding in findings(source)] == [("sales.parquet", 4, "sales", "nan")]
    assert source.empty_sales == ("store 1 dept 2 week 2020-01-31",)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no sales\.csv, sales\.parquet or sales\.xlsx"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)
    long_files.write(tmp_path, long_files.rows())
    (tmp_path / "sales.parquet").write_bytes(b"none")
    with pytest.raises(UserError, match=r"has both sales\.csv and sales\.parquet"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)
    (tmp_path / "sales.csv").unlink()
    with pytest.raises(UserError, match=r"cannot read sales\.parquet as Parquet"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)
    parquet.write_table(pa.table({"store": [1], "dept": [1]}), tmp_path / "sales.parquet")
    with pytest.raises(UserError, match=r"sales\.parquet: no column week, sales"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)
    nested = pa.table({"store": [1], "dept": [1], "week": ["2020-01-03"], "sales": [[1.0]]})
    parquet.write_table(nested, tmp_path / "sales.parquet")
    with pytest.raises(UserError, match=r"sales\.parquet: column sales has type list"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)


@pytest.mark.parametrize("type_", [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()])
def test_text_of_parquet_is_utf8(tmp_path: Path, type_: pa.DataType) -> None:
    rows = {"store": [1], "dept": [1], "week": ["2020-01-03"], "sales": [1.0]}
    ids = pa.array([b"Mu\xcc\x88nchen"]).cast(pa.string()).cast(type_)
    parquet.write_table(pa.table({**rows, "store": ids}), tmp_path / "sales.parquet", compression="none")
    loaded = read_long_folder(str(tmp_path), "utf-8", NOTHING).tables["id"]
    assert "M\u00fcnchen" in loaded["id"].to_pylist()
    data = (tmp_path / "sales.parquet").read_bytes()
    (tmp_path / "sales.parquet").write_bytes(data.replace(b"\xcc\x88nc", b"\xfc\x88nc"))
    with pytest.raises(UserError, match=r"sales\.parquet: column store has t"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)


def test_damage_of_any_byte_of_parquet_is_refused_or_harmless(tmp_path: Path) -> None:
    rows = {"store": [1, 2], "dept": [1, 2], "week": ["2020-01-03", "2020-01-10"], "sales": [1.0, 2.0]}
    parquet.write_table(pa.table(rows), tmp_path / "good.parquet")
    data = (tmp_path / "good.parquet").read_bytes()
    for place in range(0, len(data), 7):
        for byte in (0x00, 0x7F, 0xFF):
            (tmp_path / "sales.parquet").write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
            with contextlib.suppress(UserError):
                read_long_folder(str(tmp_path), "utf-8", NOTHING)


def test_an_encoding_is_found_or_declared(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"][1] = "é,1,2020-01-03,5"
    long_files.write(tmp_path, lines)
    (tmp_path / "sales.csv").write_bytes("\n".join(lines["sales"]).encode("latin-1"))
    source = read_long_folder(str(tmp_path), "utf-8", NOTHING)
    assert findings(source)[0][3] == "é"
    assert source.notes == ["sales.csv is not UTF-8 and was read as Windows-1252"]
    source = read_long_folder(str(tmp_path), "latin-1", NOTHING)
    assert (findings(source)[0][3], source.notes) == ("é", [])
    (tmp_path / "sales.csv").write_text("\n".join(lines["sales"]), "utf-16")
    source = read_long_folder(str(tmp_path), "utf-8", NOTHING)
    assert (findings(source)[0][3], source.notes) == ("é", [])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "UTC", None])
def test_midnights_of_parquet_are_dates_in_their_own_zone(
    tmp_path: Path, unit: str, zone: str | None
) -> None:
    long_files.write(tmp_path, {"stores": ["store,type,size", "1,A,5"]})
    midnights = pa.array([datetime(2020, 1, 3), datetime(2020, 7, 3), None]).cast(pa.timestamp(unit))
    weeks = midnights if zone is None else pc.assume_timezone(midnights, zone)
    ids = pa.array([Decimal("1.000")] * 3)
    rows = pa.table({"store": [1.0] * 3, "dept": ids, "week": weeks, "sales": [5.0] * 3})
    parquet.write_table(rows, tmp_path / "sales.parquet")
    source = read_long_folder(str(tmp_path), "utf-8", NOTHING)
    assert source.tables["sales"]["week"].to_pylist() == [date(2020, 1, 3), date(2020, 7, 3)]
    assert [finding[1:4] for finding in findings(source)] == [(3, "week", "")]


@pytest.mark.parametrize("zone", ["UTC", None])
def test_another_time_of_day_in_parquet_is_a_bad_date(tmp_path: Path, zone: str | None) -> None:
    long_files.write(tmp_path, {"stores": ["store,type,size", "1,A,5"]})
    weeks = pa.array([datetime(2020, 1, 2, 18, 30), datetime(2020, 1, 10)], pa.timestamp("us", zone))
    rows = pa.table({"store": [1, 1], "dept": [1, 1], "week": weeks, "sales": [5, 5]})
    parquet.write_table(rows, tmp_path / "sales.parquet")
    source = read_long_folder(str(tmp_path), "utf-8", NOTHING)
    assert source.tables["sales"]["week"].to_pylist() == [date(2020, 1, 10)]
    assert [finding[1:5] for finding in findings(source)] == [
        (
            1,
            "week",
            f"2020-01-02 18:30:00{'+0000' if zone else ''}",
            "week must be a real date, written like 2012-01-27, without a time of day other than midnight",
        )
    ]
