from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast import calendar
from shelfcast.ingest.generator import FIRST_WEEK, Generated, generate
from shelfcast.snapshot import RAW_TABLES

STORES, DEPARTMENTS, WEEKS = 45, 14, 104


@pytest.fixture(scope="module")
def generated() -> Generated:
    return generate(STORES, DEPARTMENTS, WEEKS, seed=7)


def sales(generated: Generated) -> np.ndarray:
    return generated.tables["sales"]["weekly_sales"].to_numpy().reshape(STORES, DEPARTMENTS, WEEKS)


def expected(generated: Generated) -> np.ndarray:
    return generated.oracle["expected_sales"].to_numpy().reshape(STORES, DEPARTMENTS, WEEKS)


def test_shape(generated: Generated) -> None:
    rows = generated.tables["sales"]
    assert {name: len(table) for name, table in generated.tables.items()} == {
        "sales": 65_520,
        "store_week": 4_680,
        "store": 45,
        "declared_column": 0,
        "extra": 0,
        "id": 0,
        "level_member": 0,
        "merge": 0,
    }
    assert all(generated.tables[table.name].schema == table.schema for table in RAW_TABLES)
    assert generated.oracle.column_names == ["store", "dept", "week", "expected_sales"]
    key = [("store", "ascending"), ("dept", "ascending"), ("week", "ascending")]
    assert rows.sort_by(key) == rows
    assert rows.select(["store", "dept", "week"]) == generated.oracle.select(["store", "dept", "week"])
    assert len(rows.group_by(["store", "dept", "week"]).aggregate([])) == 65_520
    assert pc.min_max(rows["week"]).as_py() == {"min": date(2024, 11, 8), "max": date(2026, 10, 30)}
    assert FIRST_WEEK.weekday() == 4


@settings(max_examples=25, deadline=None)
@given(
    small=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 60)),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 60)),
    seed=st.integers(0, 2**31),
)
def test_more_weeks_stores_or_departments_leave_the_others(
    small: tuple[int, int, int], more: tuple[int, int, int], seed: int
) -> None:
    stores, departments, weeks = small
    little = generate(stores, departments, weeks, seed)
    large = generate(stores + more[0], departments + more[1], weeks + more[2], seed)
    limits = {"store": stores, "dept": departments, "week": FIRST_WEEK + timedelta(weeks=weeks - 1)}

    def cut(rows: pa.Table) -> pa.Table:
        for name, limit in limits.items():
            if name in rows.column_names:
                rows = rows.filter(pc.less_equal(rows[name], pa.scalar(limit, rows[name].type)))
        return rows

    for name, table in little.tables.items():
        assert cut(large.tables[name]) == table
    assert cut(large.oracle) == little.oracle
    assert little.sigmas.items() <= large.sigmas.items()


def test_seeds_differ() -> None:
    assert generate(2, 2, 5, seed=1).tables != generate(2, 2, 5, seed=2).tables


def test_noise_is_the_stated_one_and_nothing_else(generated: Generated) -> None:
    observed, mean = sales(generated), expected(generated)
    for dept, sigma in generated.sigmas.items():
        open_weeks = mean[:, dept - 1] > 0
        noise = (observed[:, dept - 1][open_weeks] / mean[:, dept - 1][open_weeks] - 1) / sigma
        # Four standard errors of mean, standard deviation and mean absolute value of standard normal draws.
        error = 4 / np.sqrt(len(noise))
        assert abs(noise.mean()) < error
        assert abs(noise.std() - 1) < error / np.sqrt(2)
        assert abs(np.abs(noise).mean() - np.sqrt(2 / np.pi)) < 0.61 * error
        assert abs(np.mean(noise > 0) - 0.5) < error / 2


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["store", "department", "week"])
def test_noise_is_unlike_that_of_its_neighbours(generated: Generated, axis: int) -> None:
    mean = np.where(expected(generated) > 0, expected(generated), np.nan)
    noise = np.moveaxis(sales(generated) / mean - 1, axis, 0)
    one, next_one = noise[:-1].ravel(), noise[1:].ravel()
    known = ~np.isnan(one + next_one)
    assert abs(np.corrcoef(one[known], next_one[known])[0, 1]) < 4 / np.sqrt(known.sum())


def test_baselines_are_far_from_the_best_reachable(generated: Generated) -> None:
    observed = sales(generated)[..., 52:]
    size = np.abs(observed).sum()
    best, last_week, last_year = (
        np.abs(observed - forecast).sum() / size
        for forecast in (
            expected(generated)[..., 52:],
            sales(generated)[..., 51:-1],
            sales(generated)[..., :-52],
        )
    )
    assert best < 0.06
    assert last_week > 2 * best
    assert last_year > 2 * best


def test_closures_are_weeks_of_a_whole_store(generated: Generated) -> None:
    closed = expected(generated) == 0
    assert 0 < closed.mean() < 0.02
    assert np.array_equal(closed.any(axis=1), closed.all(axis=1))
    assert np.array_equal(closed, sales(generated) == 0)


def test_returns_are_rare_and_in_some_departments(generated: Generated) -> None:
    negative = sales(generated) < 0
    assert np.array_equal(negative, expected(generated) < 0)
    assert 0 < negative.mean() < 0.01
    assert 0 < negative.any(axis=(0, 2)).sum() < DEPARTMENTS / 2


def test_holiday_flags_are_the_calendar_s(generated: Generated) -> None:
    for name in ("sales", "store_week"):
        rows = generated.tables[name].group_by(["week", "is_holiday"]).aggregate([]).to_pylist()
        assert {row["week"] for row in rows if row["is_holiday"]} == {
            week for week in calendar.week_range(FIRST_WEEK, date(2026, 10, 30)) if calendar.is_holiday(week)
        }
        assert len(rows) == WEEKS


def test_what_is_said_to_cause_sales_does(generated: Generated) -> None:
    store_weeks = generated.tables["store_week"]
    mean = np.where(expected(generated) > 0, expected(generated), np.nan)
    # Level, season and holidays cancel in the difference to the department's other stores in the same week.
    local = np.log(mean) - np.nanmean(np.log(mean), axis=2, keepdims=True)
    local -= np.nanmean(local, axis=0, keepdims=True)
    lifts = []
    for kind in range(1, 6):
        promoted = store_weeks[f"markdown{kind}"].is_valid().to_numpy().reshape(STORES, WEEKS)
        assert 0.05 < promoted.mean() < 0.3
        for dept in range(DEPARTMENTS):
            lifts.append(np.nanmean(local[:, dept][promoted]) - np.nanmean(local[:, dept][~promoted]))
    assert min(lifts) > -0.03
    assert max(lifts) > 0.05

    holidays = {day: n for n, day in enumerate(calendar.week_range(FIRST_WEEK, date(2026, 10, 30)))}
    by_week = np.nansum(mean, axis=(0, 1))
    thanksgiving, before_christmas = holidays[date(2025, 11, 28)], holidays[date(2025, 12, 19)]
    ordinary = by_week[holidays[date(2025, 11, 14)]]
    assert by_week[thanksgiving] > 1.05 * ordinary
    assert by_week[before_christmas] > 1.2 * ordinary
