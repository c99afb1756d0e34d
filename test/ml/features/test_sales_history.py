import warnings

import numpy as np
import pytest
from brute_force_features import BruteForce
from feature_samples import Sales, random_externals, random_sales, tables_of, week

from shelfcast.features import sales_history as formulas
from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.sales_history import SalesGrid, sales_grid
from shelfcast.job import UserError

HORIZON = 5
#: Columns of the view that these formulas make; ``test_structural`` has the others.
COLUMNS = [c for c in FeatureSet(HORIZON).view_columns["sales_history"] if not c.startswith("structural")]
Row = dict[str, float]


def rows_of(sales: Sales, horizon_weeks: int = HORIZON) -> dict[tuple[int, int, int], Row]:
    """Returns the features of each (store, dept, week number)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid = grid_of(sales)
        columns = formulas.sales_history(grid, formulas.aggregate(grid), FeatureSet(horizon_weeks))
    series, column = np.nonzero(~np.isnan(grid.sales))
    first = (grid.weeks[0].item() - week(0)).days // 7
    keys = [
        (int(grid.store[s]), int(grid.dept[s]), first + int(w)) for s, w in zip(series, column, strict=True)
    ]
    return {key: {name: float(values[i]) for name, values in columns.items()} for i, key in enumerate(keys)}


def grid_of(sales: Sales) -> SalesGrid:
    keys = np.array(list(sales))
    weeks = np.array([week(number) for number in keys[:, 2].tolist()], dtype="datetime64[D]")
    return sales_grid(keys[:, 0], keys[:, 1], weeks, np.array(list(sales.values())))


@pytest.mark.parametrize("seed", range(6))
def test_every_column_is_what_the_definitions_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sales = random_sales(rng, series=7, weeks=125, gaps=[0.0, 0.1, 0.6][seed % 3])
    reference = BruteForce(sales)
    rows = rows_of(sales)
    assert rows.keys() == sales.keys()
    some = rng.permutation(len(sales))[:250]
    keys = [key for number, key in enumerate(sales) if number in set(some.tolist())]
    expected = [reference.features(*key, HORIZON) for key in keys]
    for name in COLUMNS:
        actual = [rows[key][name] for key in keys]
        np.testing.assert_allclose(
            actual, [row[name] for row in expected], rtol=1e-9, atol=1e-9, err_msg=name
        )


def test_each_column_of_the_view_is_compared_with_a_known_value() -> None:
    rng = np.random.default_rng(3)
    sales = random_sales(rng, series=7, weeks=125, gaps=0.1)
    rows = rows_of(sales)
    for name in COLUMNS:
        assert any(not np.isnan(row[name]) for row in rows.values()), name


def test_a_single_week_has_no_past() -> None:
    row = rows_of({(1, 1, 0): 40.0})[1, 1, 0]
    known = {name: value for name, value in row.items() if not np.isnan(value)}
    assert known == {
        "sales_0": 40,
        **{f"rolling_{stat}_{n}": 40 for stat in ("mean", "median") for n in (4, 13, 52)},
        "rolling_min_13": 40,
        "rolling_max_13": 40,
        "observed_weeks_13": 1,
        "weeks_since_first": 0,
        "weeks_since_last_sale": 0,
        "trend_4_13": 1,
        "share_of_store": 1,
        "dept_mean_0": 40,
        "dept_mean_4": 40,
        "dept_trend_4_13": 1,
        "store_trend_4_13": 1,
    }


def test_a_gap_is_missing_and_not_zero() -> None:
    row = rows_of({(1, 1, 0): 10.0, (1, 1, 1): 20.0, (1, 1, 4): 60.0})[1, 1, 4]
    assert np.isnan(row["lag_1"])
    assert row["lag_3"] == 20
    assert row["lag_4"] == 10
    assert row["rolling_mean_4"] == 40
    assert row["rolling_mean_13"] == 30
    assert row["observed_weeks_13"] == 3
    assert row["weeks_since_first"] == 4


def test_weeks_since_the_last_sale_count_weeks_of_nothing_and_of_returns() -> None:
    sales = {(1, 1, 0): 0.0, (1, 1, 1): 20.0, (1, 1, 2): -5.0, (1, 1, 4): 0.0, (1, 1, 5): 3.0}
    rows = rows_of(sales)
    np.testing.assert_equal([rows[key]["weeks_since_last_sale"] for key in sales], [np.nan, 0, 1, 3, 0])


def test_years_are_compared_over_weeks_known_in_both() -> None:
    sales = {(1, 1, 0): 10.0, (1, 1, 1): 999.0, (1, 1, 3): 30.0, (1, 1, 52): 20.0, (1, 1, 55): 90.0}
    row = rows_of(sales)[1, 1, 55]
    assert row["year_on_year_4"] == (20 + 90) / (10 + 30)
    assert row["last_year_mean_4"] == (10 + 999 + 30) / 3


@pytest.mark.parametrize("value", [0.0, -7.0])
def test_a_ratio_over_nothing_or_less_is_missing_and_never_infinite(value: float) -> None:
    sales = {(1, 1, number): value for number in range(70)}
    row = rows_of(sales)[1, 1, 69]
    ratios = ["trend_4_13", "year_on_year_4", "year_on_year_13", "share_of_store", "dept_trend_4_13"]
    ratios += ["dept_year_on_year_13", "store_trend_4_13", "store_year_on_year_13", "dept_season_h1"]
    assert all(np.isnan(row[name]) for name in ratios)
    assert not any(np.isinf(list(row.values())))


def test_a_ratio_over_what_cancels_is_missing() -> None:
    # 0.1 + 0.2 - 0.3 is 5.6e-17.
    row = rows_of({(1, 1, 0): -0.3, (1, 1, 1): 0.2, (1, 1, 2): 0.1})[1, 1, 2]
    assert abs(row["rolling_mean_13"]) < 1e-15
    assert np.isnan(row["trend_4_13"])


def test_the_share_of_a_store_counts_departments_that_pause() -> None:
    sales = {(1, 1, 0): 30.0, (1, 2, 0): 70.0, (1, 1, 1): 30.0}
    assert rows_of(sales)[1, 1, 1]["share_of_store"] == pytest.approx(0.3)


def test_departments_are_averaged_over_stores_and_stores_added_over_departments() -> None:
    sales = {(1, 1, 0): 10.0, (2, 1, 0): 30.0, (2, 2, 0): 100.0, (2, 1, 1): 30.0, (2, 2, 1): 360.0}
    rows = rows_of(sales)
    assert rows[1, 1, 0]["dept_mean_0"] == 20
    # Mean of the weeks' means (20, 30), not of the three rows.
    assert rows[2, 1, 1]["dept_mean_4"] == 25
    assert rows[2, 2, 1]["store_trend_4_13"] == 1


def test_forecasts_have_rows_beside_those_with_sales_in_the_order_of_the_series() -> None:
    grid = grid_of({(1, 2, 0): 10.0, (2, 1, 0): 20.0, (2, 1, 1): 30.0})
    asked = grid.with_forecast_rows((week(1),), ((1, 3), (1, 1)))
    assert list(zip(asked.store, asked.dept, strict=True)) == [(1, 1), (1, 2), (1, 3), (2, 1)]
    nothing = [np.nan, np.nan]
    np.testing.assert_array_equal(asked.sales, [nothing, [10, np.nan], nothing, [20, 30]])
    assert asked.has_row.tolist() == [[False, True], [True, True], [False, True], [True, True]]
    assert asked.weeks.tolist() == grid.weeks.tolist()


def test_a_series_without_sales_has_no_age() -> None:
    grid = grid_of({(1, 1, number): 10.0 for number in range(3)}).with_forecast_rows((week(2),), ((2, 1),))
    columns = formulas.sales_history(grid, formulas.aggregate(grid), FeatureSet(HORIZON))
    new = np.nonzero(grid.has_row)[0] == 1
    assert new.sum() == 1
    assert np.isnan(columns["weeks_since_first"][new]).all()
    assert columns["weeks_since_first"][~new].tolist() == [0, 1, 2]


def test_the_grid_has_every_week_from_the_first_to_the_last() -> None:
    grid = grid_of({(1, 1, 1): 10.0, (1, 1, 4): 20.0})
    assert grid.weeks.tolist() == [week(number) for number in (1, 2, 3, 4)]


def test_there_are_no_columns_but_those_of_the_view() -> None:
    grid = grid_of({(1, 1, 0): 10.0})
    columns = formulas.sales_history(grid, formulas.aggregate(grid), FeatureSet(HORIZON))
    assert set(columns) == set(COLUMNS)


def test_without_new_series_only_the_rows_of_the_origin_are_added() -> None:
    grid = grid_of({(1, 2, 0): 10.0, (2, 1, 0): 20.0, (2, 1, 1): 30.0})
    asked = grid.with_forecast_rows((week(1),))
    np.testing.assert_array_equal(asked.sales, grid.sales)
    assert asked.has_row.all()
    assert not grid.has_row.all()


def test_targets_are_the_sales_of_each_week_ahead_and_no_further() -> None:
    grid = grid_of({(1, 1, 0): 10.0, (1, 1, 1): 20.0, (1, 1, 2): 30.0})
    found = formulas.targets(grid, 2)
    assert list(found) == ["target_h1", "target_h2"]
    np.testing.assert_array_equal(found["target_h1"], [20, 30, np.nan])
    np.testing.assert_array_equal(found["target_h2"], [30, np.nan, np.nan])


def test_the_horizon_ends_where_a_feature_would_need_the_future() -> None:
    sales = {(1, 1, number): float(number) for number in range(60)}
    row = rows_of(sales, horizon_weeks=50)[1, 1, 59]
    assert row["last_year_after_2_h50"] == row["sales_0"] == 59
    for horizon in (0, 51):
        with pytest.raises(UserError, match=f"horizonWeeks is {horizon}"):
            rows_of(sales, horizon)
    with pytest.raises(ValueError, match="reads the future"):
        formulas.shift(np.zeros((1, 3)), -1)


def test_a_negative_zero_is_a_zero() -> None:
    grid = grid_of({(1, 1, 0): -0.0, (1, 1, 1): 0.0})
    assert not np.signbit(grid.sales).any()


def test_targets_are_the_sales_of_later_weeks() -> None:
    grid = grid_of({(1, 1, 0): 1.0, (1, 1, 1): 2.0, (1, 1, 3): 4.0})
    targets = training_data.targets(grid, 3)
    np.testing.assert_equal(targets["target_h1"], [2, np.nan, np.nan])
    np.testing.assert_equal(targets["target_h2"], [np.nan, 4, np.nan])
    np.testing.assert_equal(targets["target_h3"], [4, np.nan, np.nan])


def test_bad_rows_are_refused_with_their_place() -> None:
    weeks = np.array([week(0), week(1)], dtype="datetime64[D]")
    store, dept = np.array([3, 3]), np.array([7, 7])
    with pytest.raises(UserError, match="no sales rows"):
        sales_grid(store[:0], dept[:0], weeks[:0], np.array([]))
    with pytest.raises(UserError, match=r"2024-01-13 is not whole weeks after the first one, 2024-01-05"):
        sales_grid(store, dept, weeks + np.array([0, 1]), np.array([1.0, 2.0]))
    with pytest.raises(UserError, match="store 3, dept 7 has more than one row in week 2024-01-05"):
        sales_grid(store, dept, weeks[[0, 0]], np.array([1.0, 2.0]))
    with pytest.raises(UserError, match="store 3, dept 7 has sales of nan in week 2024-01-12"):
        sales_grid(store, dept, weeks, np.array([1.0, np.nan]))


def test_parts_hold_each_series_once() -> None:
    tables = tables_of(
        random_sales(np.random.default_rng(1), 9, 20, 0.1), random_externals(np.random.default_rng(2), 20)
    )
    grid = training_data.prepare(tables.sales, tables.store_weeks, tables.stores).grid
    parts = [grid.part(number, 4) for number in range(4)]
    series = [pair for part in parts for pair in zip(part.store, part.dept, strict=True)]
    assert sorted(series) == sorted(zip(grid.store, grid.dept, strict=True))
    assert len(set(series)) == len(grid.store)
