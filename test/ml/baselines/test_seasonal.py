from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shelfcast.baselines import seasonal
from shelfcast.baselines.seasonal import seasonal_forecasts, shift_christmas
from shelfcast.features.sales_history import Grid, SalesGrid

WEEKS_AHEAD = 13
FIRST = np.datetime64("2010-02-05")
METHODS = {"svd", "mstl_ets", "mstl_arima", "last_year", "average", "average_shifted"}


def grid_of(sales: Grid, dept: list[int] | None = None) -> SalesGrid:
    weeks = FIRST + 7 * np.arange(sales.shape[1])
    return SalesGrid(
        np.arange(len(sales)),
        np.array(dept or [1] * len(sales)),
        weeks,
        sales,
        np.zeros_like(sales, dtype=bool),
    )


def season(weeks: int) -> Grid:
    """Returns three stores of one department, each with the same year again and again, [3, weeks]."""
    year = np.random.default_rng(0).uniform(800, 1200, 52)
    return np.outer([1.0, 2.0, 0.5], year[np.arange(weeks) % 52])


def noisy(series: int, weeks: int, seed: int = 1) -> Grid:
    rng = np.random.default_rng(seed)
    return rng.uniform(500, 1500, (series, 1)) * rng.uniform(0.8, 1.2, (series, weeks))


def test_a_year_that_repeats_is_forecast_exactly() -> None:
    whole = season(104 + WEEKS_AHEAD)
    forecasts = seasonal_forecasts(grid_of(whole[:, :104]), WEEKS_AHEAD)
    assert forecasts.keys() == METHODS
    for name, values in forecasts.items():
        np.testing.assert_allclose(values, whole[:, 104:], rtol=1e-6, err_msg=name)


def test_svd_finds_a_trend_beside_the_season() -> None:
    whole = season(78 + WEEKS_AHEAD) + 3.0 * np.arange(78 + WEEKS_AHEAD)
    forecasts = seasonal_forecasts(grid_of(whole[:, :78]), WEEKS_AHEAD)
    np.testing.assert_allclose(forecasts["svd"], whole[:, 78:], rtol=1e-6)
    np.testing.assert_array_equal(forecasts["last_year"], whole[:, 26 : 26 + WEEKS_AHEAD])


def test_smoothing_keeps_what_stores_have_in_common() -> None:
    """Twenty stores sell alike, but for noise of their own: rank 12 takes part of it off."""
    rng = np.random.default_rng(2)
    alike = np.outer(rng.uniform(1, 3, 20), season(104)[0])
    sales = alike + rng.normal(0, 50, alike.shape)
    smooth = seasonal._smooth(sales, np.ones(20))
    assert np.linalg.matrix_rank(smooth) == seasonal.RANK
    assert np.abs(smooth - alike).mean() < 0.95 * np.abs(sales - alike).mean()


def test_departments_do_not_mix() -> None:
    sales = noisy(6, 80)
    before = seasonal_forecasts(grid_of(sales, [1, 1, 1, 2, 2, 2]), 4)
    sales[3:] *= 7
    after = seasonal_forecasts(grid_of(sales, [1, 1, 1, 2, 2, 2]), 4)
    for name in METHODS:
        np.testing.assert_array_equal(after[name][:3], before[name][:3], err_msg=name)
        assert (after[name][3:] != before[name][3:]).all(), name


def test_the_average_is_the_mean_of_the_four() -> None:
    forecasts = seasonal_forecasts(grid_of(noisy(3, 90)), 5)
    four = [forecasts[name] for name in ("svd", "mstl_ets", "mstl_arima", "last_year")]
    np.testing.assert_allclose(forecasts["average"], sum(four) / 4)
    assert len({values.tobytes() for values in four}) == 4


def test_a_week_without_a_row_counts_as_nothing_sold() -> None:
    sales = season(104)
    sales[1, [20, 70]] = np.nan
    gaps = seasonal_forecasts(grid_of(sales), WEEKS_AHEAD)
    zeros = seasonal_forecasts(grid_of(np.nan_to_num(sales)), WEEKS_AHEAD)
    for name in ("svd", "mstl_ets", "mstl_arima"):
        np.testing.assert_array_equal(gaps[name], zeros[name], err_msg=name)


def test_without_a_row_last_year_the_last_eight_rows_count() -> None:
    sales = noisy(2, 104)
    sales[0, 52:55] = np.nan
    sales[0, 100] = np.nan
    last_year = seasonal_forecasts(grid_of(sales), 4)["last_year"]
    recent = sales[0, [95, 96, 97, 98, 99, 101, 102, 103]].mean()
    np.testing.assert_allclose(last_year[0], [recent, recent, recent, sales[0, 55]])
    np.testing.assert_array_equal(last_year[1], sales[1, 52:56])


def test_a_series_of_three_weeks_and_one_of_none() -> None:
    sales = np.full((3, 104), np.nan)
    sales[0] = season(104)[0]
    sales[1, -3:] = [10, 20, 60]
    for name, values in seasonal_forecasts(grid_of(sales), 4).items():
        np.testing.assert_array_equal(values[1], [30] * 4, err_msg=name)
        np.testing.assert_array_equal(values[2], [0] * 4, err_msg=name)


def test_a_trend_takes_a_year_and_a_quarter() -> None:
    short, enough = (seasonal_forecasts(grid_of(noisy(3, weeks)), 4) for weeks in (64, 65))
    for name in ("svd", "mstl_ets", "mstl_arima"):
        np.testing.assert_array_equal(short[name], short["last_year"], err_msg=name)
        assert (enough[name] != enough["last_year"]).all(), name


def test_a_grid_of_one_week() -> None:
    for name, values in seasonal_forecasts(grid_of(np.array([[40.0], [np.nan]])), 52).items():
        np.testing.assert_array_equal(values, np.outer([40, 0], np.ones(52)), err_msg=name)


def test_nothing_sold_is_forecast_as_nothing() -> None:
    for name, values in seasonal_forecasts(grid_of(np.zeros((2, 104))), WEEKS_AHEAD).items():
        np.testing.assert_allclose(values, 0, atol=1e-9, err_msg=name)


def test_nothing_after_the_last_week_is_read() -> None:
    whole = noisy(4, 104)
    known = replace(grid_of(whole), weeks=grid_of(whole).weeks[:80], sales=whole[:, :80])
    before = seasonal_forecasts(known, 8)
    whole[:, 80:] = -1e9
    for name, values in seasonal_forecasts(known, 8).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_two_processes_give_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_of(noisy(12, 80))
    one = seasonal_forecasts(grid, 4)
    monkeypatch.setattr(seasonal, "_SERIES_FOR_TWO_PROCESSES", 2)
    for name, values in seasonal_forecasts(grid, 4).items():
        np.testing.assert_array_equal(values, one[name], err_msg=name)


@pytest.mark.parametrize("weeks_ahead", [0, 53])
def test_a_year_ahead_is_the_most(weeks_ahead: int) -> None:
    with pytest.raises(ValueError, match=f"weeks_ahead is {weeks_ahead}; it must be 1 to 52"):
        seasonal_forecasts(grid_of(season(80)), weeks_ahead)


def december_2010(*sales: float) -> Grid:
    """Returns a series until 2011-10-28: these sales in the weeks 2010-12-03 .. 12-31, else 100."""
    grid = np.full((1, 91), 100.0)
    grid[0, 43:48] = sales
    return grid


def test_christmas_moves_by_its_day() -> None:
    """2010: Saturday, no day before it in its week. 2011: Sunday, one of seven."""
    grid = grid_of(december_2010(140, 210, 280, 350, 70))
    assert grid.weeks[43] == np.datetime64("2010-12-03")
    shifted = shift_christmas(grid, np.zeros((1, 12)))
    np.testing.assert_allclose(shifted[0], [0, 0, 0, 0, -10, -10, -10, -10, 40, 0, 0, 0])
    assert shifted.sum() == pytest.approx(0)


def test_christmas_moves_when_its_weeks_have_begun() -> None:
    sales = np.concatenate([december_2010(140, 210, 280, 350, 70), np.full((1, 7), 100.0)], axis=1)
    assert grid_of(sales).weeks[-1] == np.datetime64("2011-12-16")
    np.testing.assert_allclose(shift_christmas(grid_of(sales), np.zeros((1, 4))), [[-10, 40, 0, 0]])


def test_christmas_moves_when_its_own_week_is_too_far_ahead() -> None:
    grid = grid_of(december_2010(140, 210, 280, 350, 70))
    np.testing.assert_allclose(shift_christmas(grid, np.zeros((1, 6))), [[0, 0, 0, 0, -10, -10]])


def test_christmas_moves_where_the_department_sells_more_before_it() -> None:
    flat = december_2010(105, 105, 105, 105, 100)
    bulge = december_2010(140, 210, 280, 350, 70)
    gap = december_2010(140, np.nan, 280, 350, 70)
    sales = np.concatenate([flat, bulge, 0.1 * flat, gap])
    shifted = shift_christmas(grid_of(sales, [1, 2, 2, 3]), np.zeros((4, 9)))
    assert (shifted != 0).any(axis=1).tolist() == [False, True, True, False]


def test_christmas_moves_only_where_it_is_known_and_ahead() -> None:
    grid = grid_of(december_2010(140, 210, 280, 350, 70))
    np.testing.assert_array_equal(shift_christmas(grid, np.zeros((1, 4))), 0)
    late = replace(grid, weeks=grid.weeks[45:], sales=grid.sales[:, 45:])
    np.testing.assert_array_equal(shift_christmas(late, np.zeros((1, 12))), 0)
