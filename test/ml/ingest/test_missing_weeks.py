"""Weeks without a row that a data set declares as weeks without sales."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from test_load_checks import FIRST, found, history, tables

from shelfcast.backtest.folder import read
from shelfcast.calendar import WEEK
from shelfcast.contracts.specs import Declaration, IngestSpec
from shelfcast.contracts.wire import decode, encode
from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.ids import PLAIN_IDS
from shelfcast.ingest.__main__ import run
from shelfcast.ingest.load_checks import Gaps, SalesRows
from shelfcast.missing_weeks import with_zero_weeks
from shelfcast.snapshot import SALES, STORE_WEEKS, STORES, read_sales

#: Weeks with a row of each series: the second one has ended, and the last store has not reported yet.
SERIES = {(1, 1): (0, 3, 4, 9), (1, 2): (2, 5), (2, 1): (1, 2, 7)}
WEEKS = 10


def rows(with_zeros: bool) -> list[tuple[int, int, int, float]]:
    """Returns store, department, week number and sales; weeks without sales have a row or none."""
    ends = {1: 9, 2: 7}
    return [
        (store, dept, week, 10.0 * (week + 1) if week in weeks else 0.0)
        for (store, dept), weeks in SERIES.items()
        for week in range(weeks[0], ends[store] + 1)
        if with_zeros or week in weeks
    ]


def write(folder: Path, with_zeros: bool) -> Path:
    folder.mkdir()
    lines = [f"{store},{dept},{FIRST + week * WEEK},{sales}" for store, dept, week, sales in rows(with_zeros)]
    (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales", *lines, ""]))
    return folder


def test_the_weeks_up_to_the_newest_of_the_store_become_zero() -> None:
    gaps, zeros = (tables(rows(with_zeros))[SALES.name] for with_zeros in (False, True))
    assert with_zero_weeks(gaps) == zeros
    assert with_zero_weeks(gaps.slice(0, 0)) == gaps.slice(0, 0)
    assert with_zero_weeks(gaps.take(pa.array(np.arange(len(gaps))[::-1]))) == zeros


def test_the_checks_see_the_same_weeks_of_zero() -> None:
    gaps, zeros = (
        SalesRows.of(PLAIN_IDS, tables(rows(with_zeros))[SALES.name]) for with_zeros in (False, True)
    )
    filled = gaps.with_zero_weeks()
    for name in ("store", "dept", "week", "sales"):
        np.testing.assert_array_equal(getattr(filled, name), getattr(zeros, name), err_msg=name)


def test_training_data_equal_those_of_rows_with_zero(tmp_path: Path) -> None:
    folders = []
    for name, with_zeros, meaning in (("gaps", False, "zero"), ("zeros", True, None), ("plain", False, None)):
        source = read(
            write(tmp_path / name, with_zeros),
            tmp_path / "bad-rows.csv",
            Declaration(missing_weeks=meaning),  # type: ignore[arg-type]
        )
        known = source.known_at(FIRST + 9 * WEEK)
        folders.append(tmp_path / f"{name}-features")
        folders[-1].mkdir()
        names = (SALES.name, STORE_WEEKS.name, STORES.name)
        training_data.write(folders[-1], *(known[name] for name in names), FeatureSet(2))
    files = [path.name for path in folders[0].iterdir()]
    assert len(files) > 16
    assert filecmp.cmpfiles(folders[0], folders[1], files, shallow=False) == (files, [], [])
    assert filecmp.cmpfiles(folders[0], folders[2], files, shallow=False)[1] != []


Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Runs the ingest job on rows of sales."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def load(request: str, lines: list[str], meaning: str | None, *allow: str) -> dict[str, Any]:
        folder = tmp_path / request
        folder.mkdir()
        (folder / "sales.csv").write_text("\n".join(["store,dept,week,sales", *lines, ""]))
        source = {
            "kind": "long",
            "path": str(folder / "sales.csv"),
            "encoding": "utf-8",
            **({} if meaning is None else {"declaration": {"missingWeeks": meaning}}),
        }
        spec = {
            "dataset": "missing_weeks",
            "requestId": request,
            "source": source,
            "maxBadRowShare": 0,
            "allow": list(allow),
        }
        return encode(run(decode(IngestSpec, spec, "spec"), folder))  # type: ignore[no-any-return]

    return load


def test_the_data_set_keeps_the_declaration_until_another_one(
    connection: psycopg.Connection, load: Load
) -> None:
    def sales(result: dict[str, Any]) -> int:
        return len(read_sales(connection, "missing_weeks", result["snapshot"]["batchId"]))

    def rules(result: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
        return {rule["name"]: (rule["outcome"], rule["examples"]) for rule in result["quality"]["rules"]}

    lines = [f"1,{dept},{FIRST + week * WEEK},5" for dept in (1, 2) for week in (0, 4)]
    first = load("missing-1", lines, "zero")
    assert (sales(first), first["snapshot"]["rowCount"]) == (10, 4)
    second = load("missing-2", [f"1,1,{FIRST + 6 * WEEK},5"], None, "row-count-change", "mean-sales-change")
    assert sales(second) == 14
    assert rules(second)["undeclared-gaps"][0] == rules(second)["gaps-redeclared"][0] == "kept"
    third = load("missing-3", lines, "unknown")
    assert sales(third) == 5
    assert rules(third)["gaps-redeclared"] == ("warned", ["unknown replaces zero, for all weeks"])
    assert len({result["snapshot"]["contentHash"] for result in (first, second, third)}) == 3
    assert third["insertedRows"] == 0


def test_many_gaps_are_told_with_numbers() -> None:
    every_third = [row for row in history(range(70)) if row[2] % 3 == 0]
    check = found(tables(every_third))["undeclared-gaps"]
    assert (check.rows, check.examples) == (
        184,
        [
            "184 of 280 weeks of 4 series have no row and no series has a 0: if these are weeks without "
            'sales, declare "missingWeeks": "zero" (--missing-weeks zero)'
        ],
    )
    with_zero = [*every_third[2:], *((*row[:3], 0.0) for row in every_third[:2])]
    (sentence,) = found(tables(with_zero))["undeclared-gaps"].examples
    assert "and 2 rows are 0, so these weeks look unknown" in sentence
    few = [row for row in history(range(70)) if row[2] % 11]
    assert found(tables(few))["undeclared-gaps"].rows == 0


@pytest.mark.parametrize(("count", "weeks", "are_many"), [(0, 0, False), (1, 10, True), (1, 11, False)])
def test_gaps_are_many_from_a_tenth_of_the_weeks(count: int, weeks: int, are_many: bool) -> None:
    assert Gaps(count, weeks, 1, zeros=0).are_many == are_many
    assert Gaps(count, weeks, 1, zeros=0).look_like_zero == are_many
    assert not Gaps(count, weeks, 1, zeros=1).look_like_zero


def test_a_few_zeros_may_be_returns() -> None:
    gaps = Gaps(516_170, 778_835, 29_840, zeros=864)
    assert gaps.look_like_zero
    assert "have no row and few rows (864) are 0: if these are weeks without sales, declare" in gaps.sentence
    assert not Gaps(100, 200, 4, zeros=2).look_like_zero
