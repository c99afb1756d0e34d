"""Formulas of the features that look at the week of last year with the same holiday."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.definitions import YEAR_WEEKS
from shelfcast.features.own_holidays import DEPT_SEASON, LAST_YEAR, MIN_WEEKS_BACK
from shelfcast.features.sales_history import Aggregates, Columns, Grid, SalesGrid, ratio, rolling_mean, shift


def alike_columns(grid: SalesGrid, aggregates: Aggregates, weeks_back: Grid, horizon_weeks: int) -> Columns:
    """Returns ``last_year_alike_h1`` .. and ``dept_season_alike_h1`` .., each [series, weeks].

    Args:
        grid: Sales of the series.
        aggregates: Aggregates over all series.
        weeks_back: Weeks back to the week that is alike, of each series' store, as ``weekly_values.to_grid``
            returns it [series, weeks and the weeks after them]; NaN where unknown.
        horizon_weeks: Largest number of weeks ahead.
    """
    department = np.searchsorted(aggregates.departments, grid.dept)
    department_sales = aggregates.department_sales[department]
    level = shift(rolling_mean(aggregates.department_sales, 13), YEAR_WEEKS)[department]
    columns: Columns = {}
    for h in range(1, horizon_weeks + 1):
        source = _source_weeks(weeks_back, grid.sales.shape[1], h)
        columns[f"{LAST_YEAR}_h{h}"] = _take(grid.sales, source)
        columns[f"{DEPT_SEASON}_h{h}"] = ratio(_take(department_sales, source), level)
    return columns


def _source_weeks(weeks_back: Grid, weeks: int, horizon: int) -> NDArray[np.int64]:
    """Returns the week of last year for each origin, [series, weeks]; -1 where there is none.

    A week that some origin could not know is left out beyond ``MIN_WEEKS_BACK`` weeks ahead.
    """
    if horizon > MIN_WEEKS_BACK:
        return np.full((len(weeks_back), weeks), -1)
    back = weeks_back[:, horizon : weeks + horizon]
    source = np.where(np.isnan(back), -1, np.arange(weeks) + horizon - np.nan_to_num(back))
    return np.where(source >= 0, source, -1).astype(np.int64)


def _take(sales: Grid, source: NDArray[np.int64]) -> Grid:
    """Returns the sales of the source weeks, NaN where there is none."""
    values = np.take_along_axis(sales, np.maximum(source, 0), axis=1)
    return np.where(source < 0, np.nan, values)
