from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import long_files
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from shelfcast.calendar import week_of
from shelfcast.contracts.specs import Declaration, LongSource
from shelfcast.contracts.wire import decode
from shelfcast.ingest import summed_days
from shelfcast.ingest.dates import date_rule
from shelfcast.ingest.days import WEEKDAYS, find_partial_weeks
from shelfcast.ingest.load_checks import check_load
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables

STORES = ["store,type,size", "1,A,21000", "2,B,22000"]
#: A Monday.
FIRST = date(2024, 1, 1)


def read(path: Path, known: dict[str, pa.Table] | None = None, **declaration: Any) -> SourceRows:
    declared = decode(Declaration, declaration, "declaration")
    return read_long_source(LongSource(path=str(path), declaration=declared), known or empty_tables())


def refusal(path: Path, **declaration: Any) -> str:
    with pytest.raises(UserError) as raised:
        read(path, **declaration)
    return str(raised.value)


def write(folder: Path, sales: list[str], **files: list[str]) -> Path:
    return long_files.write(folder, {"sales": ["store,dept,week,sales", *sales], "stores": STORES, **files})


def daily(days: int, first: date = FIRST, closed: tuple[int, ...] = ()) -> list[str]:
    """Returns rows of 1 for each day of two stores, but not of weekdays on which they are closed."""
    dates = [first + timedelta(days=n) for n in range(days)]
    return [f"{s},1,{day},1" for s in (1, 2) for day in dates if day.weekday() not in closed]


def weeks_of(source: SourceRows) -> dict[tuple[int, str], float]:
    rows = source.tables["sales"].to_pylist()
    return {(row["store"], str(row["week"])): row["weekly_sales"] for row in rows}


def test_days_are_summed_to_weeks_that_end_on_sunday(tmp_path: Path) -> None:
    source = read(write(tmp_path, daily(21)), sum="days")
    assert len(source.findings) == 0
    assert weeks_of(source) == {(s, f"2024-01-{day:02}"): 7.0 for s in (1, 2) for day in (7, 14, 21)}
    assert source.partial_weeks.count == 0


def test_other_weekdays_are_declared_and_leave_partial_weeks_out(tmp_path: Path) -> None:
    source = read(write(tmp_path, daily(21)), sum="days", weekEnds="Friday")
    assert weeks_of(source) == {(s, f"2024-01-{day}"): 7.0 for s in (1, 2) for day in (12, 19)}
    assert source.partial_weeks.count == 4
    assert source.partial_weeks.examples[:2] == (
        "store 1 week to 2024-01-05: no sales on Saturday to Sunday",
        "store 1 week to 2024-01-26: no sales on Monday to Friday",
    )


def test_weeks_end_as_those_of_the_data_set(tmp_path: Path) -> None:
    folder = write(tmp_path, daily(21))
    known = read(folder, sum="days", weekEnds="Friday").tables
    assert {day.weekday() for day in read(folder, known, sum="days").tables["sales"]["week"].to_pylist()} == {
        4
    }
    with pytest.raises(
        UserError,
        match=r"weekEnds of source\.declaration is Monday, and the weeks of the data set end on Friday",
    ):
        read(folder, known, sum="days", weekEnds="Monday")


def test_weeks_end_as_those_of_a_file_of_weeks(tmp_path: Path) -> None:
    fridays = [f"{store},2024-01-{day:02},50" for store in (1, 2) for day in (5, 12, 19)]
    weeks = ["store,week,temperature", *fridays]
    source = read(write(tmp_path / "weeks", daily(21), store_weeks=weeks), sum="days")
    assert {week for _, week in weeks_of(source)} == {"2024-01-12", "2024-01-19"}
    # Two weekdays tell nothing.
    source = read(write(tmp_path / "days", daily(21), store_weeks=[*weeks, "1,2024-01-20,50"]), sum="days")
    assert {week for _, week in weeks_of(source)} == {"2024-01-07", "2024-01-14", "2024-01-21"}


def test_a_store_that_reports_late_loses_its_partial_week_only(tmp_path: Path) -> None:
    rows = [row for row in daily(35) if not (row.startswith("2,") and row.split(",")[2] > "2024-01-31")]
    source = read(write(tmp_path, rows), sum="days")
    assert source.partial_weeks.examples == ("store 2 week to 2024-02-04: no sales on Thursday to Sunday",)
    assert (1, "2024-02-04") in weeks_of(source)
    assert max(week for store, week in weeks_of(source) if store == 2) == "2024-01-28"


def test_a_day_on_which_stores_are_closed_is_not_missing(tmp_path: Path) -> None:
    source = read(write(tmp_path / "long", daily(35, closed=(6,))), sum="days")
    assert (source.partial_weeks.count, max(weeks_of(source))) == (0, (2, "2024-02-04"))
    # One week cannot tell whether Sunday is still to come.
    assert read(write(tmp_path / "short", daily(7, closed=(6,))), sum="days").partial_weeks.count == 2


def test_the_running_week_is_left_out_in_the_zone_of_the_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path, daily(35, closed=(6,)))
    monkeypatch.setattr(summed_days, "today_in", lambda zone: date(2024, 2, 4 if zone else 5))
    assert max(weeks_of(read(folder, sum="days"))) == (2, "2024-02-04")
    source = read(folder, sum="days", timeZone="America/New_York")
    assert max(weeks_of(source)) == (2, "2024-01-28")
    assert source.partial_weeks.examples[0] == "store 1 week to 2024-02-04: the week is not over"


def test_a_week_that_ends_today_is_not_over(tmp_path: Path) -> None:
    tables = read(write(tmp_path, ["1,1,2024-01-05,1"])).tables

    def rows(today: date) -> int:
        return next(c.rows for c in check_load(tables, empty_tables(), today) if c.rule == "future-week")

    assert (rows(date(2024, 1, 5)), rows(date(2024, 1, 6))) == (1, 0)


def test_flags_hold_for_the_week_and_covariates_are_averaged_or_last(tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=n) for n in range(28)]
    sales = [f"1,1,{day},1,{'TRUE' if n == 8 else 'FALSE'},{n}" for n, day in enumerate(days)]
    # A feast on a day without sales.
    sales = [row for row in sales if "2024-01-17" not in row]
    weeks = [
        f"1,{day},{'TRUE' if n in (8, 16) else 'FALSE'},{n},{n % 7 or 'NA'}" for n, day in enumerate(days)
    ]
    folder = long_files.write(
        tmp_path,
        {
            "sales": ["store,dept,week,sales,holiday,visitors", *sales],
            "store_weeks": ["store,week,holiday,temperature,stock", *weeks],
            "stores": STORES,
        },
    )
    covariates = [
        {"name": "visitors", "of": "series_week", "knownAfterWeeks": 0, "description": "people"},
        {"name": "stock", "of": "store_week", "knownAfterWeeks": 0, "description": "left", "perWeek": "last"},
    ]
    tables = read(folder, sum="days", covariates=covariates).tables
    assert [row["is_holiday"] for row in tables["sales"].to_pylist()] == [False, True, True, False]
    assert [row["is_holiday"] for row in tables["store_week"].to_pylist()] == [False, True, True, False]
    assert tables["store_week"]["temperature"].to_pylist() == [3.0, 10.0, 17.0, 24.0]
    extras = defaultdict(list)
    for row in tables["extra"].to_pylist():
        extras[row["name"]].append(row["value"])
    assert extras == {"visitors": [3.0, 10.0, (14 + 15 + 17 + 18 + 19 + 20) / 6, 24.0], "stock": [6.0] * 4}


def test_flags_of_sales_alone_hold_for_the_week(tmp_path: Path) -> None:
    days = [FIRST + timedelta(days=n) for n in range(14)]
    sales = [f"1,1,{day},1,{'TRUE' if n == 8 else 'FALSE'}" for n, day in enumerate(days)]
    files = {"sales": ["store,dept,week,sales,holiday", *sales], "stores": STORES}
    tables = read(long_files.write(tmp_path, files), sum="days").tables
    assert tables["sales"]["is_holiday"].to_pylist() == [False, True]


def test_several_rows_of_a_day_are_summed(tmp_path: Path) -> None:
    source = read(write(tmp_path, [*daily(28), "1,1,2024-01-09,5", "1,1,2024-01-09,-2"]), sum="days")
    assert weeks_of(source)[1, "2024-01-14"] == 10.0
    assert len(source.findings) == 0


def test_moments_are_summed_in_the_zone_of_the_stores(tmp_path: Path) -> None:
    zone = ZoneInfo("America/New_York")
    start = datetime(2024, 3, 4, tzinfo=zone).astimezone(UTC)
    # Clocks change on 10 March: 28 days have 671 hours.
    moments = [start + timedelta(hours=n, minutes=30) for n in range(28 * 24 - 1)]
    rows = [f"1,1,{moment.isoformat()},1" for moment in moments]
    folder = write(tmp_path, rows)
    source = read(folder, sum="days", timeZone="America/New_York")
    assert weeks_of(source) == {
        (1, week): hours
        for week, hours in {
            "2024-03-10": 167.0,
            "2024-03-17": 168.0,
            "2024-03-24": 168.0,
            "2024-03-31": 168.0,
        }.items()
    }
    assert "the day of a moment depends on the zone: declare the zone of the stores" in refusal(
        folder, sum="days"
    )
    message = refusal(folder)
    assert re.search(
        r'like 2024-03-04T05:30:00\+00:00, so its rows are no weeks: declare "sum": "days"', message
    )
    local = [f"1,1,{moment.astimezone(zone):%m/%d/%Y %I:%M %p},1" for moment in moments]
    assert weeks_of(read(write(tmp_path / "local", local), sum="days")) == weeks_of(source)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/Sao_Paulo", "Europe/London"])
def test_midnights_stored_in_utc_are_days_where_the_zone_is_declared(tmp_path: Path, zone: str) -> None:
    # Clocks change at midnight in Sao Paulo, so a day of November 2017 begins at 1:00.
    local = [datetime(2017, 1, 1) + timedelta(weeks=n) for n in range(60)]
    moments = [each.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for each in local]
    long_files.write(tmp_path, {"stores": STORES})
    weeks = pa.array(moments, pa.timestamp("us", "UTC"))
    rows = pa.table({"store": [1] * 60, "dept": [1] * 60, "week": weeks, "sales": [5.0] * 60})
    parquet.write_table(rows, tmp_path / "sales.parquet")
    source = read(tmp_path, timeZone=zone)
    assert len(source.findings) == 0
    assert source.tables["sales"]["week"].to_pylist() == [each.date() for each in local]
    if zone != "Europe/London":
        assert f"which are midnights in {zone}" in refusal(tmp_path)
        assert f'declare "timeZone": "{zone}" (--time-zone {zone})' in refusal(tmp_path)
    # A zone in which they are no midnights makes no day.
    assert "which are midnights in" in refusal(tmp_path, timeZone="Asia/Tokyo")


def test_days_without_a_declaration_are_told_in_one_sentence(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "days", daily(28))) == (
        "sales.csv: week has days, not weeks: its dates lie on 7 different weekdays, and most series have "
        'a row after 1 day(s); declare "sum": "days" (--sum days) to sum them to weeks'
    )
    months = [f"1,1,20{year}-{month:02}-01,5" for year in (22, 23) for month in range(1, 13)]
    assert "week has months, not weeks" in refusal(write(tmp_path / "months", months))


def test_weeks_on_other_weekdays_by_store_are_told(tmp_path: Path) -> None:
    weeks = [FIRST + timedelta(days=4 + 7 * n) for n in range(30)]
    rows = [f"1,1,{week},5" for week in weeks]
    rows += [f"2,1,{week + timedelta(days=1)},5" for week in weeks[:20]]
    findings = read(write(tmp_path, rows)).findings
    assert set(findings["rule"].to_pylist()) == {
        "week must be a Friday as most others are; the weeks of store 2 end on Saturdays, so load these as a "
        "data set of their own"
    }
    assert len(findings) == 20


def test_new_weeks_end_on_the_weekday_of_the_data_set(tmp_path: Path) -> None:
    fridays = [f"1,1,{FIRST + timedelta(days=4 + 7 * n)},5" for n in range(8)]
    known = read(write(tmp_path / "known", fridays)).tables
    findings = read(write(tmp_path / "new", ["1,1,2024-03-02,5"]), known).findings
    assert findings["rule"].to_pylist() == ["week must be a Friday as in the data set"]


@pytest.mark.parametrize(
    ("day", "rule"),
    [
        ("1970-01-02", "week must be from 1980 to 2099"),
        ("1900-01-01", "week must be from 1980 to 2099"),
        ("9999-12-31", "week must be from 1980 to 2099"),
        (
            "2000-01-07",
            "week must be within two years of the others, which are from 2024-01-05 to 2024-07-26",
        ),
        (
            "2042-01-03",
            "week must be within two years of the others, which are from 2024-01-05 to 2024-07-26",
        ),
    ],
)
@pytest.mark.parametrize("declaration", [{}, {"sum": "days"}])
def test_a_date_far_from_the_others_makes_a_bad_row(
    tmp_path: Path, day: str, rule: str, declaration: dict[str, str]
) -> None:
    weeks = [FIRST + timedelta(days=4 + 7 * n) for n in range(30)]
    source = read(write(tmp_path, [*(f"1,1,{week},5" for week in weeks), f"1,1,{day},5"]), **declaration)
    assert [(f["value"], f["rule"], f["name"]) for f in source.findings.to_pylist()] == [
        (day, rule, "far-date")
    ]
    assert len(source.tables["store_week"]) <= 30
    # The data set counts, not the load alone.
    known = read(write(tmp_path / "known", [f"1,1,{week},5" for week in weeks])).tables
    assert len(read(write(tmp_path / "new", [f"1,1,{day},5"]), known, **declaration).findings) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-500, 500)), min_size=1, max_size=60),
    st.sampled_from(WEEKDAYS),
    st.sampled_from(
        ["America/New_York", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia"]
    ),
    st.integers(0, 86_399),
)
def test_whole_weeks_have_the_sum_of_their_days(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, int]],
    weekday: str,
    zone: str,
    second: int,
) -> None:
    """Nothing moves over the border of a week, whatever the weekday, the zone and the time of day."""
    # Clocks change in these days in all of the zones but one.
    days = [date(2017, 10, 1) + timedelta(days=n) for n, _ in rows]
    at = [datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(zone)) + timedelta(seconds=second) for d in days]
    # A time that clocks skip lies an hour later, on the same day.
    moments = [each.astimezone(UTC) for each in at]
    kept = [n for n, each in enumerate(moments) if each.astimezone(ZoneInfo(zone)).date() == days[n]]
    folder = write(
        tmp_path_factory.mktemp("days"),
        [f"1,1,{moments[n].isoformat()},{rows[n][1]}" for n in kept] or daily(7),
    )
    expected: dict[tuple[int, str], int] = defaultdict(int)
    for n in kept:
        expected[1, str(week_of(days[n], WEEKDAYS.index(weekday)))] += rows[n][1]
    if not kept:
        return
    try:
        source = read(folder, sum="days", weekEnds=weekday, timeZone=zone)
    except UserError as error:
        pytest.fail(str(error))
    found = weeks_of(source)
    assert len(source.findings) == 0
    assert {week: expected[week] for week in found} == found
    borders = {str(each) for each in (min(week for _, week in expected), max(week for _, week in expected))}
    assert {week for _, week in set(expected) - set(found)} <= borders


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(0, 6))
def test_only_first_and_last_weeks_are_partial(numbers: set[int], weekday: int) -> None:
    days = [FIRST + timedelta(days=n) for n in sorted(numbers)]
    rows = pa.table({"store": pa.array([1] * len(days)), "week": pa.array(days, pa.date32())})
    left_out, partial = find_partial_weeks(rows, weekday, date(2026, 1, 1), {1: "1"})
    weeks = sorted({week_of(day, weekday) for day in days})
    assert set(left_out["week"].to_pylist()) <= {weeks[0], weeks[-1]}
    assert partial.count == len(left_out)
    # A week with all of its days is whole.
    for week in (weeks[0], weeks[-1]):
        if all(week - timedelta(days=n) in days for n in range(7)):
            assert week not in left_out["week"].to_pylist()


@pytest.mark.parametrize(
    ("text", "zone", "has_times", "day"),
    [
        ("2024-03-10", None, False, date(2024, 3, 10)),
        ("2024-03-10 2:15 PM", None, True, date(2024, 3, 10)),
        ("2024-03-10 12:00 AM", None, False, date(2024, 3, 10)),
        ("2024-03-10 13:15 PM", None, True, None),
        ("2024-03-10 00:15", None, False, None),
        ("2024-03-10T23:30:00-05:00", None, True, date(2024, 3, 10)),
        ("2024-03-10T23:30:00-05:00", "UTC", True, date(2024, 3, 11)),
        ("2024-03-10T23:30:00", "Asia/Tokyo", True, date(2024, 3, 10)),
        ("2024-03-10T15:00:00Z", "Asia/Tokyo", False, date(2024, 3, 11)),
        ("2024-03-10T15:00:00.000001Z", "Asia/Tokyo", False, None),
        ("2024-03-10T24:00:00", None, True, None),
        ("9999-12-31T23:00:00Z", "Asia/Tokyo", True, None),
        ("0001-01-01T00:00:00Z", "America/New_York", False, None),
    ],
)
def test_the_day_of_a_moment(text: str, zone: str | None, has_times: bool, day: date | None) -> None:
    values, broken = date_rule(zone, has_times=has_times).check(pa.array([text]))
    assert (values.to_pylist(), broken.tolist()) == ([day], [day is None])


def test_form_of_numbers_and_dates_may_be_declared(tmp_path: Path) -> None:
    def numbers(cells: list[str], **declaration: str) -> tuple[list[float], list[str]]:
        rows = [f'1,1,{FIRST + timedelta(days=4 + 7 * n)},"{cell}"' for n, cell in enumerate(cells)]
        source = read(write(tmp_path, rows), **declaration)
        return source.tables["sales"]["weekly_sales"].to_pylist(), source.findings["value"].to_pylist()

    assert numbers(["1,234", "1.234"], decimal=",") == ([1.234, 1234.0], [])
    assert numbers(["1,234", "1.234"], decimal=".") == ([1234.0, 1.234], [])
    assert numbers(["1,5", "2.5"], decimal=",") == ([1.5], ["2.5"])
    assert numbers(["1,5", "2.5"], decimal=".") == ([2.5], ["1,5"])

    def weeks(cells: list[str], date_format: str) -> tuple[list[str], list[str]]:
        source = read(write(tmp_path, [f"1,1,{cell},5" for cell in cells]), dateFormat=date_format)
        return [str(week) for week in source.tables["sales"]["week"].to_pylist()], source.findings[
            "value"
        ].to_pylist()

    assert weeks(["05.01.2024", "12.01.2024", "2024-01-19"], "DD.MM.YYYY") == (
        ["2024-01-05", "2024-01-12"],
        ["2024-01-19"],
    )
    assert weeks(["01/05/2024", "1/12/2024"], "MM/DD/YYYY") == (["2024-01-05", "2024-01-12"], [])
    assert weeks(["20240105", "20240112 00:00:00", "2024112"], "YYYYMMDD") == (
        ["2024-01-05", "2024-01-12"],
        ["2024112"],
    )


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"timeZone": "Europe/Berln"}, "timeZone Europe/Berln is not a name .*; did you mean Europe/Berlin"),
        ({"weekEnds": "Friday"}, 'weekEnds is for days that are summed to weeks; add "sum": "days"'),
        ({"dateFormat": "DD.MM."}, "dateFormat DD.MM. must have YYYY, MM and DD, each once"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, declaration: dict[str, str], message: str) -> None:
    assert re.search(message, refusal(write(tmp_path, daily(7)), **declaration))
