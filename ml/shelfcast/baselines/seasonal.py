"""Seasonal forecasts of each series from its history and its department's; no features and no training.

The methods are components of the winning entry of the Kaggle competition "Walmart Recruiting - Store Sales
Forecasting" (2014); a season is 52 weeks:

- ``svd``: a linear trend and an effect of each week of the year (R: ``tslm(trend + season)``).
- ``mstl_ets`` and ``mstl_arima``: robust STL removes the season, exponential smoothing or ARIMA forecasts the
  rest, and last year's season is added.
- ``last_year``: the same week last year.
- ``average``: the mean of these four.
- ``average_shifted``: the average after ``shift_christmas``.

The first three read the last two years, smoothed: the sales of a department (stores by weeks, 0 for a missing
row) are replaced by the nearest matrix of rank 12, which keeps the patterns that its stores share. A series
with less than a year and a quarter of history gets ``last_year`` alone, since trend and season cannot be told
apart. If last year's week has no row, ``last_year`` is the mean of the series' last 8 rows, or 0 without any.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsforecast import StatsForecast
from statsforecast.models import MSTL, AutoARIMA, AutoETS

from shelfcast.calendar import WEEK, calendar_features, christmas, weeks_to
from shelfcast.features.definitions import YEAR_WEEKS
from shelfcast.features.sales_history import Grid, SalesGrid

QUARTER = 13
RANK = 12
RECENT_ROWS = 8
#: Number of series from which a second process saves more time than its start takes.
_SERIES_FOR_TWO_PROCESSES = 100

#: Number of weeks before the Christmas week; Thanksgiving precedes them.
_ADVENT_WEEKS = 4
#: Minimum ratio of sales in advent to the weeks around it.
_MIN_BULGE = 1.1


def seasonal_forecasts(grid: SalesGrid, weeks_ahead: int) -> dict[str, Grid]:
    """Returns the forecasts of each method for the weeks after the grid.

    Args:
        grid: All known sales.
        weeks_ahead: 1 to 52.

    Returns:
        Forecasts by method, US dollars [series, weeks_ahead].

    Raises:
        ValueError: ``weeks_ahead`` is out of range.
    """
    if not 1 <= weeks_ahead <= YEAR_WEEKS:
        raise ValueError(f"weeks_ahead is {weeks_ahead}; it must be 1 to {YEAR_WEEKS}")
    last_year = _last_year(grid.sales, weeks_ahead)
    old = ~np.isnan(grid.sales[:, : max(grid.sales.shape[1] - YEAR_WEEKS - QUARTER + 1, 0)]).all(axis=1)
    forecasts = {"svd": last_year.copy(), "mstl_ets": last_year.copy(), "mstl_arima": last_year.copy()}
    if old.any():
        smooth = _smooth(grid.sales[:, -2 * YEAR_WEEKS :], grid.dept)[old]
        forecasts["svd"][old] = _trend_and_season(smooth, weeks_ahead)
        for name, values in _mstl(smooth, weeks_ahead).items():
            forecasts[name][old] = values
    forecasts["last_year"] = last_year
    forecasts["average"] = np.mean(list(forecasts.values()), axis=0)
    forecasts["average_shifted"] = shift_christmas(grid, forecasts["average"])
    return forecasts


def shift_christmas(grid: SalesGrid, forecast: Grid) -> Grid:
    """Returns the forecast with last year's Christmas sales moved to where its days lie this year.

    52 weeks are a day or two short of a year, so days before Christmas move into the next week. As in the
    winning entry, the shift applies to departments that sold 10 % more in the three weeks before the
    Christmas week than in the Christmas week and the fourth week before it. Each of these five weeks gets
    that share of a week's sales from the week before, and the first gets it from the last. The sales are
    those of the year before, so a forecast that starts within these weeks is corrected too; series with a
    missing row in them are not.

    Args:
        grid: All known sales.
        forecast: Forecasts for the weeks after the grid, at most 52, US dollars [series, weeks_ahead].
    """
    shifted = forecast.copy()
    last = grid.weeks[-1].item()
    for h in range(1, forecast.shape[1] + _ADVENT_WEEKS + 1):
        christmas_week = last + h * WEEK
        days = calendar_features(christmas_week)["christmas_shift"]
        if weeks_to(christmas, christmas_week) != 0 or days <= 0:
            continue
        first = grid.sales.shape[1] - 1 + h - _ADVENT_WEEKS - YEAR_WEEKS
        if first < 0 or first + _ADVENT_WEEKS >= grid.sales.shape[1]:
            continue
        year_before = grid.sales[:, first : first + _ADVENT_WEEKS + 1]
        moved = days / 7 * (np.roll(year_before, 1, axis=1) - year_before)
        moved[~_has_bulge(year_before, grid.dept) | np.isnan(moved).any(axis=1)] = 0
        for week in range(_ADVENT_WEEKS + 1):
            ahead = h - _ADVENT_WEEKS + week - 1
            if 0 <= ahead < forecast.shape[1]:
                shifted[:, ahead] += moved[:, week]
    return shifted


def _has_bulge(year_before: Grid, dept: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns whether the department of each series sells more before Christmas [series]."""
    _, department = np.unique(dept, return_inverse=True)
    weeks = np.stack([np.bincount(department, np.nan_to_num(week)) for week in year_before.T])
    bulge: NDArray[np.bool_] = weeks[1:-1].mean(axis=0) >= _MIN_BULGE * weeks[[0, -1]].mean(axis=0)
    return bulge[department]


def _last_year(sales: Grid, weeks_ahead: int) -> Grid:
    """Returns the sales 52 weeks earlier, else the mean of the last rows, else 0."""
    padded = np.concatenate([np.full((len(sales), YEAR_WEEKS), np.nan), sales], axis=1)
    forecast = padded[:, -YEAR_WEEKS:][:, :weeks_ahead]
    rows = [values[~np.isnan(values)][-RECENT_ROWS:] for values in sales]
    recent = np.array([values.mean() if len(values) > 0 else 0.0 for values in rows])
    return np.where(np.isnan(forecast), recent[:, np.newaxis], forecast)


def _smooth(sales: Grid, dept: NDArray[np.int64]) -> Grid:
    """Returns each department's sales, stores by weeks, as the nearest matrix of rank ``RANK``."""
    smooth = np.nan_to_num(sales)
    for department in np.unique(dept):
        rows = dept == department
        left, size, right = np.linalg.svd(smooth[rows], full_matrices=False)
        smooth[rows] = (left[:, :RANK] * size[:RANK]) @ right[:RANK]
    return smooth


def _trend_and_season(sales: Grid, weeks_ahead: int) -> Grid:
    """Returns the forecasts of a linear trend and an effect of each week of the year, by least squares."""
    week = np.arange(sales.shape[1] + weeks_ahead)
    inputs = np.column_stack([week, np.eye(YEAR_WEEKS)[week % YEAR_WEEKS]])
    known, ahead = np.split(inputs, [sales.shape[1]])
    weights = np.linalg.lstsq(known, sales.T, rcond=None)[0]
    forecast: Grid = (ahead @ weights).T
    return forecast


def _mstl(sales: Grid, weeks_ahead: int) -> dict[str, Grid]:
    """Returns the forecasts of ``mstl_ets`` and ``mstl_arima`` for series without gaps."""
    methods = {
        "mstl_ets": AutoETS(model="ZZN"),
        # Higher orders take minutes more on thousands of series.
        "mstl_arima": AutoARIMA(max_p=2, max_q=2, seasonal=False),
    }
    models = [MSTL(YEAR_WEEKS, trend, {"robust": True}, alias=name) for name, trend in methods.items()]
    series, week = np.indices(sales.shape)
    rows = pd.DataFrame({"unique_id": series.ravel(), "ds": week.ravel(), "y": sales.ravel()})
    jobs = 2 if len(sales) >= _SERIES_FOR_TWO_PROCESSES else 1
    with warnings.catch_warnings():
        # From ARIMA orders that fit badly and are not chosen.
        warnings.filterwarnings("ignore", "possible convergence problem", UserWarning)
        forecasts = StatsForecast(models=models, freq=1, n_jobs=jobs).forecast(df=rows, h=weeks_ahead)
    forecasts = forecasts.sort_values(["unique_id", "ds"])
    return {name: forecasts[name].to_numpy().reshape(len(sales), weeks_ahead) for name in methods}
