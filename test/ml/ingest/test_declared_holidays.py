"""Calendars and events of a folder, from its files to the covariates of a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import long_files
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from shelfcast.contracts.specs import Declaration, Holidays, LongSource
from shelfcast.ingest.holiday_covariates import with_holidays
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import EXTRAS, empty_tables


def read(folder: Path, declaration: object = None, events: list[str] | None = None) -> SourceRows:
    """Reads a folder of sales of 2020-01-03 and -10, of the stores 1 and 2."""
    long_files.write(folder, long_files.rows())
    if declaration is not None:
        (folder / "shelfcast.json").write_text(json.dumps(declaration))
    if events is not None:
        (folder / "events.csv").write_text("\n".join(events) + "\n")
    return read_long_source(LongSource(path=str(folder)), empty_tables())


def holidays(rows: SourceRows, store: int, known: dict[str, pa.Table] | None = None) -> list[str]:
    """Returns the weeks of the year 2020 with a holiday."""
    extras = with_holidays(rows.tables, known or empty_tables(), rows.holidays)[EXTRAS.name]
    name, value = pc.field("name"), pc.field("value")
    weeks = extras.filter((name == "holiday") & (value == 1) & (pc.field("store") == store))["week"]
    return [str(week) for week in sorted(weeks.to_pylist()) if week < date(2020, 4, 15)]


def test_a_country_for_all_stores_and_a_region_for_one(tmp_path: Path) -> None:
    declared = {"holidays": {"country": "DE", "stores": {"2": {"country": "DE", "region": "BY"}}}}
    rows = read(tmp_path / "folder", declared)
    new_year, epiphany, easter = "2020-01-03", "2020-01-10", ["2020-04-10", "2020-04-17"]
    assert holidays(rows, 1) == [new_year, easter[0]]
    assert holidays(rows, 2) == [new_year, epiphany, easter[0]]


def test_a_calendar_spans_the_weeks_with_sales_and_two_years(tmp_path: Path) -> None:
    lines = ["store,dept,week,sales", "1,1,2021-01-07,5", "1,1,2021-01-14,5"]
    long_files.write(tmp_path, {"sales": lines})
    declared = Declaration(holidays=Holidays(country="DE"))
    rows = read_long_source(LongSource(path=str(tmp_path), declaration=declared), empty_tables())
    calendar = rows.holidays.calendar
    assert calendar is not None
    # The first day of the first week is a holiday.
    assert calendar.by_store[1][0] == (date(2021, 1, 1), "New Year's Day")
    assert calendar.last == date(2023, 1, 12)


IN_REGIONS = {"country": "DE", "stores": {"2": {"country": "DE", "region": "BY"}}}


def later(folder: Path, holidays: object, stores: Sequence[int]) -> tuple[SourceRows, dict[str, pa.Table]]:
    """Returns a load of the next week of these stores, and the rows before, of the stores 1 and 2."""
    first = read(folder / "first", {"holidays": IN_REGIONS})
    known = with_holidays(first.tables, empty_tables(), first.holidays)
    sales = [f"{store},1,2020-02-14,5" for store in stores]
    long_files.write(folder / "later", {"sales": ["store,dept,week,sales", *sales]})
    if holidays is not None:
        (folder / "later" / "shelfcast.json").write_text(json.dumps({"holidays": holidays}))
    return read_long_source(LongSource(path=str(folder / "later")), known), known


def test_a_new_store_of_a_load_without_declaration_has_the_country_of_all_others(tmp_path: Path) -> None:
    rows, known = later(tmp_path, None, [1, 3])
    assert holidays(rows, 3, known) == ["2020-01-03", "2020-04-10"]
    # Epiphany is a holiday of store 2 alone.
    extras = with_holidays(rows.tables, known, rows.holidays)[EXTRAS.name]
    epiphany = (pc.field("name") == "holiday") & (pc.field("week") == pa.scalar(date(2020, 1, 10)))
    assert extras.filter(epiphany & (pc.field("store") == 3))["value"].to_pylist() == [0]


def test_a_new_declaration_is_for_all_stores_and_weeks_of_the_data_set(tmp_path: Path) -> None:
    by_store = {store: {"country": "AT"} for store in ("1", "2")}
    rows, _ = later(tmp_path / "all", {"stores": by_store}, [1])
    calendar = rows.holidays.calendar
    assert calendar is not None
    assert calendar.by_store[2][0] == (date(2020, 1, 1), "New Year's Day")
    with pytest.raises(UserError, match="stores 2 have no calendar"):
        later(tmp_path / "one", {"stores": {"1": {"country": "AT"}}}, [1])


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"country": "XX"}, "holidays of shelfcast.json: there is no country XX"),
        ({"region": "BY"}, "the region BY needs a country"),
        ({"stores": {"1": {"country": "FR"}}}, "stores 2 have no calendar"),
        ({"country": "FR", "stores": {"3": {"country": "FR"}}}, "the data have no store 3"),
        ({"country": "FR", "language": "fr"}, "language: unknown key"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, declared: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path / "folder", {"holidays": declared})


@pytest.mark.parametrize("column", ["date", "week"])
def test_events_are_read_beside_the_sales(tmp_path: Path, column: str) -> None:
    events = [f"name,{column},store", "sale,2020-01-08,", "opening,2020-02-14,2", "sale,2020-03-06,NA"]
    rows = read(tmp_path / "folder", events=events)
    assert holidays(rows, 1) == ["2020-01-10", "2020-03-06"]
    assert holidays(rows, 2) == ["2020-01-10", "2020-02-14", "2020-03-06"]
    assert rows.unread == []


def test_an_event_of_an_unknown_store_is_a_bad_row(tmp_path: Path) -> None:
    rows = read(tmp_path / "folder", events=["name,date,store", "sale,2020-01-08,9", "sale,2020-01-08,1"])
    assert holidays(rows, 1) == ["2020-01-10"]
    assert [(f["file"], f["line"], f["name"]) for f in rows.findings.to_pylist()] == [
        ("events.csv", 2, "store-in-file")
    ]


@pytest.mark.parametrize("day", ["3026-01-02", "9999-12-31", "1970-01-02", "2031-01-01"])
@pytest.mark.parametrize("column", ["date", "week"])
def test_an_event_far_from_the_sales_is_a_bad_row(tmp_path: Path, day: str, column: str) -> None:
    rows = read(tmp_path / "folder", events=[f"name,{column}", "sale,2020-01-08", f"sale,{day}"])
    assert [(f["line"], f["column"], f["name"]) for f in rows.findings.to_pylist()] == [
        (3, column, "far-date")
    ]
    assert holidays(rows, 1) == ["2020-01-10"]
    assert len(with_holidays(rows.tables, empty_tables(), rows.holidays)[EXTRAS.name]) < 100


def test_sales_decide_which_events_are_far(tmp_path: Path) -> None:
    far = ["sale,2031-01-01", "sale,2031-02-01", "sale,2031-03-01"]
    rows = read(tmp_path / "folder", events=["name,date", "sale,2020-01-08", *far])
    assert [f["line"] for f in rows.findings.to_pylist()] == [3, 4, 5]


def test_a_long_list_of_events_counts_near_the_sales_and_moves_no_other_date(tmp_path: Path) -> None:
    """Its dates have no gap, so none of them is far from the others."""
    events = ["name,date", *(f"fair,{year}-01-08" for year in range(2000, 2040))]
    long_files.write(tmp_path, {**long_files.rows(), "events": events})
    with (tmp_path / "sales.csv").open("a") as file:
        file.write("1,1,2030-01-04,5\n")
    rows = read_long_source(LongSource(path=str(tmp_path)), empty_tables())
    assert [(f["file"], f["name"]) for f in rows.findings.to_pylist()] == [("sales.csv", "far-date")]
    extras = with_holidays(rows.tables, empty_tables(), rows.holidays)[EXTRAS.name]
    weeks = extras.filter((pc.field("name") == "holiday") & (pc.field("store") == 1))["week"]
    assert (min(weeks.to_pylist()), max(weeks.to_pylist())) == (date(2018, 1, 12), date(2022, 2, 4))


@pytest.mark.parametrize(
    ("event", "first"),
    [("sale,3026-01-08,", "3026-01-08"), ("sale,2020-01-08,9", "'9': store must be"), ("sale", "cells")],
)
def test_a_list_without_a_good_event_is_refused_in_a_sentence(tmp_path: Path, event: str, first: str) -> None:
    with pytest.raises(UserError, match=f"no event is good, like events.csv:2 .*{first}.*only the header"):
        read(tmp_path / "folder", events=["name,date,store", event])


def test_a_header_alone_is_a_list_without_events(tmp_path: Path) -> None:
    rows = read(tmp_path / "csv", events=["name,date,store"])
    assert rows.holidays.has_no_event
    assert not read(tmp_path / "one", events=["name,date,store", "sale,2020-01-08,"]).holidays.has_no_event
    long_files.write(tmp_path / "parquet", long_files.rows())
    no_rows = pa.table({"name": pa.array([], pa.string()), "date": pa.array([], pa.date32())})
    parquet.write_table(no_rows, tmp_path / "parquet" / "events.parquet")
    rows = read_long_source(LongSource(path=str(tmp_path / "parquet")), empty_tables())
    assert rows.holidays.has_no_event
    # An empty file of sales stays an error.
    long_files.write(tmp_path / "csv", {"sales": long_files.rows()["sales"][:1]})
    with pytest.raises(UserError, match=r"sales\.csv has a header but no rows"):
        read_long_source(LongSource(path=str(tmp_path / "csv")), empty_tables())


@pytest.mark.parametrize("written", ["2.0", "02"])
def test_the_store_of_an_event_may_be_written_like_a_number(tmp_path: Path, written: str) -> None:
    rows = read(tmp_path / "folder", events=["name,date,store", f"sale,2020-01-08,{written}"])
    assert (holidays(rows, 1), holidays(rows, 2)) == ([], ["2020-01-10"])
    assert rows.similar_ids == (["store '02' is read as '2'"] if written == "02" else [])


def test_an_event_may_be_of_a_store_named_na(tmp_path: Path) -> None:
    lines = {
        name: [row.replace("2,", "NA,", 1) if row[:2] == "2," else row for row in rows]
        for name, rows in long_files.rows().items()
    }
    long_files.write(tmp_path, {**lines, "events": ["name,date,store", "sale,2020-01-08,NA"]})
    rows = read_long_source(LongSource(path=str(tmp_path)), empty_tables())
    (of_na,) = (row["number"] for row in rows.tables["id"].to_pylist() if row["id"] == "NA")
    assert (holidays(rows, 1), holidays(rows, of_na)) == ([], ["2020-01-10"])


@pytest.mark.parametrize(
    ("header", "message"), [("name", "events.csv has no column date or week"), ("name,date,week", "has both")]
)
def test_an_event_needs_one_day(tmp_path: Path, header: str, message: str) -> None:
    cells = ",".join(["2020-01-08"] * header.count(","))
    with pytest.raises(UserError, match=message):
        read(tmp_path / "folder", events=[header, f"sale,{cells}" if cells else "sale"])


def test_a_folder_without_either_says_nothing(tmp_path: Path) -> None:
    rows = read(tmp_path / "folder")
    assert with_holidays(rows.tables, empty_tables(), rows.holidays) == rows.tables
    assert isinstance(rows.tables["sales"], pa.Table)
