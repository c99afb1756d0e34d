from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import long_files
import pytest

from shelfcast.contracts.specs import ColumnRoles, Declaration
from shelfcast.ingest.declaration import declared_in_input
from shelfcast.ingest.long_source import read_long_folder
from shelfcast.ingest.open_dates import OpenDates
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables


def read(folder: Path, values: list[str], delimiter: str = ";") -> SourceRows:
    """Reads sales with these values, and stores."""
    lines = long_files.rows()
    series = [row.split(",")[:3] for row in lines["sales"][1:]]
    sales = [
        delimiter.join(["store", "dept", "week", "sales"]),
        *(delimiter.join([*key, value]) for key, value in zip(series, values, strict=False)),
    ]
    return read_long_folder(
        str(long_files.write(folder, {"sales": sales, "stores": lines["stores"]})), "utf-8", empty_tables()
    )


def dated(folder: Path, weeks: list[str]) -> SourceRows:
    """Reads sales of one series in these weeks, and stores."""
    sales = ["store,dept,week,sales", *(f"1,1,{week},5" for week in weeks)]
    lines = {"sales": sales, "stores": long_files.rows()["stores"]}
    return read_long_folder(str(long_files.write(folder, lines)), "utf-8", empty_tables())


def bad(source: SourceRows) -> list[tuple[int, str, str]]:
    return [(row["line"], row["value"], row["name"]) for row in source.findings.to_pylist()]


SEMICOLONS = "sales.csv: cells are separated by semicolons"


@pytest.mark.parametrize(
    ("values", "numbers", "comma"),
    [
        (["12,5", "-3", ",25", "1e2"], [12.5, -3.0, 0.25, 100.0], "12,5"),
        (["1,234", "12,5", "0,125"], [1.234, 12.5, 0.125], "12,5"),
        (["1.234,5", "1.234", "1,234"], [1234.5, 1234.0, 1.234], "1.234,5"),
        (["1.234.567", "1.234", "5"], [1234567.0, 1234.0, 5.0], "1.234.567"),
        (["1234,567", "5"], [1234.567, 5.0], "1234,567"),
        (["12.5", "1.234"], [12.5, 1.234], None),
        (["1234.567", "1.234"], [1234.567, 1.234], None),
        (["5", "7"], [5.0, 7.0], None),
    ],
)
def test_a_decimal_comma_is_read_where_the_file_proves_it(
    tmp_path: Path, values: list[str], numbers: list[float], comma: str | None
) -> None:
    source = read(tmp_path, values)
    assert bad(source) == []
    assert source.tables["sales"]["weekly_sales"].to_pylist() == numbers
    note = [] if comma is None else [f"sales.csv: numbers have decimal commas, like {comma}"]
    assert source.notes == [SEMICOLONS, *note]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["5", "1,234"], "sales.csv:3: 1,234 has two meanings"),
        (["1.234", "12"], "sales.csv:2: 1.234 has two meanings"),
        (["12,5", "1.234"], "sales.csv:3: 1.234 has two meanings"),
        (["12,5", "12.5"], "a decimal comma, 12,5 in line 2, and with a decimal point, 12.5 in line 3"),
    ],
)
def test_numbers_with_two_meanings_are_refused(tmp_path: Path, values: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read(tmp_path, values)


def test_other_commas_and_dots_make_bad_rows(tmp_path: Path) -> None:
    source = read(tmp_path, ["12,5", "12.34,5", "1,2,3", "1.234,567,8"])
    assert bad(source) == [
        (3, "12.34,5", "number"),
        (4, "1,2,3", "number"),
        (5, "1.234,567,8", "number"),
    ]
    assert bad(read(tmp_path, ["12.5", "1,234", "1,234.5"])) == [
        (3, "1,234", "number"),
        (4, "1,234.5", "number"),
    ]


def test_between_commas_numbers_have_a_decimal_point(tmp_path: Path) -> None:
    source = read(tmp_path, ["1.234", '"12,5"', '"1.234,5"'], ",")
    assert source.tables["sales"]["weekly_sales"].to_pylist() == [1.234]
    assert (bad(source), source.notes) == ([(3, "12,5", "number"), (4, "1.234,5", "number")], [])


WEEKS = ["2020-01-03", "2020-01-10", "2020-01-17"]


@pytest.mark.parametrize(
    ("weeks", "order", "example"),
    [
        (["03.01.2020", "10.01.2020", "17.01.2020"], "the day", "03.01.2020"),
        (["3/1/2020", "10/1/2020", "17/1/2020"], "the day", "3/1/2020"),
        (["1/3/2020 12:00:00 AM", "1/10/2020 12:00:00 AM", "1/17/2020 12:00:00 AM"], "the month", None),
        (["01-03-2020", "01-10-2020", "01-17-2020"], "the month", "01-03-2020"),
    ],
)
def test_the_order_of_day_and_month_is_read_where_the_file_proves_it(
    tmp_path: Path, weeks: list[str], order: str, example: str | None
) -> None:
    source = dated(tmp_path, weeks)
    assert bad(source) == []
    assert [str(week) for week in source.tables["sales"]["week"].to_pylist()] == WEEKS
    assert source.notes[0].startswith(
        f"sales.csv: week begins with {order}, so {example or weeks[0]} is 2020-01-03"
    )


@pytest.mark.parametrize(
    "weeks",
    [
        ["03/01/2020", "10/01/2020"],
        # One row that may be a typing error proves nothing about four others.
        ["03/01/2020", "10/01/2020", "07/02/2020", "06/03/2020", "17/01/2020"],
    ],
)
def test_an_order_that_is_not_proven_is_refused(tmp_path: Path, weeks: list[str]) -> None:
    with pytest.raises(
        UserError, match=r"sales\.csv: week may begin with the day or with the month, as in 03/"
    ):
        dated(tmp_path, weeks)


@pytest.mark.parametrize("missing", ["", "NA"])
@pytest.mark.parametrize(
    ("day", "week", "date_format"),
    [
        ("28.06.2019", "2020-01-03", None),
        ("6/28/2019", "2020-01-03", None),
        ("20190628", "2020-01-03", None),
        ("07.06.2019", "03.01.2020", "DD.MM.YYYY"),
    ],
)
def test_a_date_among_missing_ones_is_read(
    tmp_path: Path, day: str, week: str, date_format: str | None, missing: str
) -> None:
    lines = {
        "sales": ["store,dept,week,sales", f"1,1,{week},5"],
        "stores": ["store,type,size,closed", f"1,A,1,{day}", *(f"{n},A,1,{missing}" for n in (2, 3))],
    }
    declared = declared_in_input(Declaration(columns=ColumnRoles(closed="closed"), date_format=date_format))
    source = read_long_folder(
        str(long_files.write(tmp_path, lines)), "utf-8", empty_tables(), declared=declared
    )
    assert bad(source) == []
    closed = OpenDates.of(source.tables).closed
    assert closed.astype("datetime64[D]").tolist() == [date(2019, 6, 7 if date_format else 28)]


def test_other_dates_make_bad_rows(tmp_path: Path) -> None:
    assert bad(dated(tmp_path, [*WEEKS, "24/01/2020"])) == [(5, "24/01/2020", "date")]
    # Neither order fits all rows.
    weeks = ["03.01.2020", "17.01.2020", "01.24.2020"]
    assert bad(dated(tmp_path, weeks)) == [(n, week, "date") for n, week in enumerate(weeks, 2)]
