"""Opening and closing days of stores: the weeks that they shut, corrections, and what the report tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import long_files
import psycopg
import pyarrow.compute as pc
import pytest

from shelfcast.features.open_weeks import OPEN
from shelfcast.ingest.holiday_rows import WEEKS_AHEAD
from shelfcast.snapshot import read_covariates, read_extras

Ingest = Callable[..., dict[str, Any]]
Load = Callable[..., dict[str, Any]]

ROLES = {"columns": {"opened": "opened", "closed": "closed"}}
LAST = long_files.FIRST_WEEK + timedelta(weeks=5)
END = LAST + timedelta(weeks=WEEKS_AHEAD)


def weeks(first: date, last: date) -> list[date]:
    return [first + timedelta(weeks=n) for n in range((last - first).days // 7 + 1)]


def stores(*days: str) -> list[str]:
    return ["store,type,size,opened,closed", *(f"{n},A,100,{text}" for n, text in enumerate(days, 1))]


@pytest.fixture
def load(ingest: Ingest, tmp_path: Path) -> Load:
    requests: list[str] = []

    def run(lines: dict[str, list[str]], declared: dict[str, Any] | None = None) -> dict[str, Any]:
        requests.append(f"{tmp_path.name}-{len(requests)}")
        folder = long_files.write(tmp_path / requests[-1], lines)
        (folder / "shelfcast.json").write_text(json.dumps(ROLES if declared is None else declared))
        allow = ("row-count-change", "mean-sales-change")
        return ingest(tmp_path.name, requests[-1], folder, 0.5, kind="long", allow=allow)

    return run


def shut(connection: psycopg.Connection, result: dict[str, Any]) -> dict[int, list[date]]:
    """Returns the weeks in which each store is shut."""
    snapshot = result["snapshot"]
    rows = read_extras(connection, snapshot["dataset"], snapshot["batchId"])
    found: dict[int, list[date]] = {}
    for row in rows.filter(pc.equal(rows["name"], OPEN)).to_pylist():
        if row["value"] == 0:
            found.setdefault(row["store"], []).append(row["week"])
    return found


def rule(result: dict[str, Any], name: str) -> tuple[str, Sequence[str]]:
    found = next(rule for rule in result["quality"]["rules"] if rule["name"] == name)
    return found["outcome"], found["examples"]


def test_weeks_before_the_opening_and_after_the_closing_are_shut(
    connection: psycopg.Connection, load: Load
) -> None:
    lines = long_files.rows()
    # Store 1 closes on the first day after its newest week, and 3 opens on the last day of a week.
    opening = LAST + timedelta(weeks=3)
    days = (f",{LAST + timedelta(days=1)}", ",NA", f"{opening},")
    result = load(lines | {"stores": stores(*days)})
    assert shut(connection, result) == {
        1: weeks(LAST + timedelta(weeks=2), END),
        3: weeks(long_files.FIRST_WEEK, opening - timedelta(weeks=1)),
    }
    snapshot = result["snapshot"]
    assert [c.name for c in read_covariates(connection, snapshot["dataset"], snapshot["batchId"])] == [OPEN]
    assert rule(result, "outside-open-dates")[0] == "kept"


def test_a_data_set_keeps_the_days_and_a_correction_opens_weeks_again(
    connection: psycopg.Connection, load: Load
) -> None:
    lines = long_files.rows()
    closing = LAST + timedelta(weeks=4)
    load(lines | {"stores": stores("," + str(closing), ",")})
    week = LAST + timedelta(weeks=1)
    new = {"sales": ["store,dept,week,sales", f"1,1,{week},5", f"2,1,{week},5"]}
    assert shut(connection, load(new, {})) == {
        1: weeks(closing + timedelta(weeks=1), END + timedelta(weeks=1))
    }
    later = closing + timedelta(weeks=2)
    result = load(new | {"stores": stores("," + str(later), ",")})
    assert shut(connection, result) == {1: weeks(later + timedelta(weeks=1), END + timedelta(weeks=1))}
    assert load(new | {"stores": stores("," + str(later), ",")})["insertedRows"] == 0
    assert shut(connection, load(new | {"stores": stores(",NA", ",")})) == {}


def test_closures_of_a_file_stay_and_days_count_where_they_differ(
    connection: psycopg.Connection, load: Load
) -> None:
    lines = long_files.rows()
    closing = LAST + timedelta(weeks=2)
    told = [f"1,{LAST + timedelta(weeks=n)},{value}" for n, value in ((1, 0), (3, 1))]
    result = load(
        lines | {"stores": stores("," + str(closing), ","), "store_weeks": ["store,week,open", *told]}
    )
    expected = [LAST + timedelta(weeks=1), *weeks(LAST + timedelta(weeks=3), END)]
    assert shut(connection, result) == {1: expected}


def test_sales_outside_are_told_with_their_place(load: Load) -> None:
    lines = long_files.rows()
    closing, opening = LAST - timedelta(weeks=1), long_files.FIRST_WEEK + timedelta(weeks=1)
    outcome, examples = rule(
        load(lines | {"stores": stores(f"{opening},", f",{closing}")}), "outside-open-dates"
    )
    assert outcome == "warned"
    assert list(examples) == [
        f"store 1, dept 1 {long_files.FIRST_WEEK}: 1001.25, opened {opening}",
        f"store 1, dept 7 {long_files.FIRST_WEEK}: 1007.25, opened {opening}",
        f"store 2, dept 1 {LAST}: 2001.25, closed {closing}",
        f"store 2, dept 7 {LAST}: 2007.25, closed {closing}",
    ]


def test_a_store_that_closes_before_it_opens_is_a_bad_row(load: Load) -> None:
    lines = long_files.rows()
    result = load(lines | {"stores": stores("2020-02-01,2020-01-31", ",")}, {**ROLES})
    text = Path(result["badRowsUri"].removeprefix("file://")).read_text()
    assert "closed must not be before opened" in text
    assert "2020-02-01,2020-01-31" in text


def test_columns_of_these_names_count_only_where_they_are_declared(
    connection: psycopg.Connection, load: Load
) -> None:
    result = load(long_files.rows() | {"stores": stores(f",{LAST}", "soon,")}, {})
    assert (shut(connection, result), result["badRows"]) == ({}, 0)
