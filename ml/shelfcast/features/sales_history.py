"""Formulas of the ``sales_history`` view, for all series and origins at once.

All functions work on a float64 grid [series, weeks] with every week from first to last, NaN where a series
has no row. A value at week t is computed from weeks up to t only, by the same operations in the same order
whatever follows, so a change after t changes no bit of it. A ratio whose denominator is zero or negative
(more returned than sold) is NaN. Standard deviations are sample standard deviations (divided by n - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from shelfcast.features.definitions import (
    DEPT_LAGS,
    LAGS,
    LAST_YEAR_OFFSETS,
    ROLLING_WEEKS,
    YEAR_WEEKS,
    FeatureSet,
)
from shelfcast.job import UserError

Grid = NDArray[np.float64]
Columns = dict[str, Grid]

#: Half a cent: where sales and returns cancel, a floating-point sum leaves up to about 1e-9.
_ZERO_USD = 0.005


@dataclass(frozen=True)
class SalesGrid:
    """Sales in US dollars of all series of a snapshot, or of some of them.

    Attributes:
        store: Store of each series, int64 [series].
        dept: Department of each series, int64 [series].
        weeks: Every week of the snapshot, datetime64[D] [weeks].
        sales: Weekly sales, float64 [series, weeks]; NaN where the series has no row or its week is hidden.
        hidden: Weeks whose sales say nothing about demand (``open_weeks``), from the first known week of the
            series until it has ended, [series, weeks].
        forecast_from: Origins at which every series has a feature row, with sales or without.
        estimated: Series whose sales are an estimate (``cold_start``) [series]; none if empty. They have a
            feature row at the newest week only, so nothing learns from an estimate.
    """

    store: NDArray[np.int64]
    dept: NDArray[np.int64]
    weeks: NDArray[np.datetime64]
    sales: Grid
    hidden: NDArray[np.bool_]
    forecast_from: tuple[np.datetime64, ...] = ()
    estimated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def is_estimated(self) -> NDArray[np.bool_]:
        """Whether the sales of each series are an estimate, [series, 1]."""
        none = np.zeros(len(self.store), dtype=bool)
        return (self.estimated if len(self.estimated) else none)[:, np.newaxis]

    @property
    def has_row(self) -> NDArray[np.bool_]:
        """Mask of the feature rows, [series, weeks]."""
        mask: NDArray[np.bool_] = (
            (~np.isnan(self.sales) & ~self.is_estimated)
            | self.hidden
            | np.isin(self.weeks, np.array(self.forecast_from, "datetime64[D]"))
            | (self.is_estimated & (self.weeks == self.weeks[-1]))
        )
        return mask

    def part(self, number: int, of: int) -> SalesGrid:
        """Returns every ``of``-th series, beginning with series ``number``."""
        rows = slice(number, None, of)
        return replace(
            self,
            store=self.store[rows],
            dept=self.dept[rows],
            sales=self.sales[rows],
            hidden=self.hidden[rows],
            estimated=self.estimated[rows],
        )

    def without(self, closed: NDArray[np.bool_], out_of_stock: NDArray[np.bool_]) -> SalesGrid:
        """Returns the grid in which these weeks [series, weeks] are unknown, and yet have feature rows.

        A series ends with more than a year out of stock since its last known week, when no feature of its own
        sales is left. Closed weeks do not count: a store is shut for as long as it says.
        """
        hidden = closed | out_of_stock
        sales = np.where(hidden, np.nan, self.sales)
        known = ~np.isnan(sales)
        without_stock = (out_of_stock & ~closed).cumsum(axis=1)
        at_last_known = np.maximum.accumulate(np.where(known, without_stock, 0), axis=1)
        has_begun = np.logical_or.accumulate(known, axis=1)
        has_ended = without_stock - at_last_known > YEAR_WEEKS
        return replace(self, sales=sales, hidden=hidden & has_begun & ~has_ended)

    def with_forecast_rows(
        self, forecast_from: Sequence[date], new_series: Sequence[tuple[int, int]] = ()
    ) -> SalesGrid:
        """Returns the grid with feature rows for forecasts, beside those of weeks with sales.

        Args:
            forecast_from: Origins at which every series gets a row.
            new_series: (store, dept) of series without sales so far.
        """
        keys = [*zip(self.store.tolist(), self.dept.tolist(), strict=True), *new_series]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        nothing = np.full((len(new_series), len(self.weeks)), np.nan)
        store, dept = np.array(keys, dtype=np.int64).reshape(-1, 2)[order].T
        weeks = tuple(np.datetime64(week) for week in forecast_from)
        sales = np.concatenate([self.sales, nothing])[order]
        hidden = np.concatenate([self.hidden, np.zeros_like(nothing, dtype=bool)])[order]
        return SalesGrid(store, dept, self.weeks, sales, hidden, weeks)


@dataclass(frozen=True)
class Aggregates:
    """Sales by department and by store, which features of single series refer to.

    Attributes:
        departments: Department numbers in ascending order, int64 [departments].
        department_sales: Mean over the stores with a row in the week, float64 [departments, weeks].
        stores: Store numbers in ascending order, int64 [stores].
        store_sales: Sum over the departments, float64 [stores, weeks].
        store_mean_13: Sum over the departments of ``rolling_mean_13``, float64 [stores, weeks].
    """

    departments: NDArray[np.int64]
    department_sales: Grid
    stores: NDArray[np.int64]
    store_sales: Grid
    store_mean_13: Grid


def sales_grid(
    store: NDArray[np.int64], dept: NDArray[np.int64], week: NDArray[np.datetime64], sales: Grid
) -> SalesGrid:
    """Returns the grid of rows in any order; series are ordered by (store, dept).

    Raises:
        UserError: There are no rows, sales are not finite, a week is not whole weeks after the first, or a
            series has two rows in one week.
    """
    if len(week) == 0:
        raise UserError("BadData", "the snapshot has no sales rows; load some first")
    if not np.isfinite(sales).all():
        row = int((~np.isfinite(sales)).argmax())
        name = f"store {store[row]}, dept {dept[row]}"
        raise UserError("BadData", f"{name} has sales of {sales[row]} in week {week[row]}")
    first = week.min()
    column, remainder = np.divmod((week - first).astype(np.int64), 7)
    if remainder.any():
        odd = week[remainder.argmax()]
        raise UserError("BadData", f"the sales week {odd} is not whole weeks after the first one, {first}")
    stores, store_number = np.unique(store, return_inverse=True)
    departments, dept_number = np.unique(dept, return_inverse=True)
    pair, row = np.unique(store_number * len(departments) + dept_number, return_inverse=True)
    series_store, series_dept = stores[pair // len(departments)], departments[pair % len(departments)]
    weeks = first + 7 * np.arange(column.max() + 1)
    cells = np.bincount(row * len(weeks) + column)
    if cells.max() > 1:
        number, column_twice = divmod(int(cells.argmax()), len(weeks))
        name = f"store {series_store[number]}, dept {series_dept[number]}"
        raise UserError("BadData", f"{name} has more than one row in week {weeks[column_twice]}")
    grid = np.full((len(pair), len(weeks)), np.nan)
    grid[row, column] = sales + 0.0  # no negative zero: a minimum of both zeros may be either
    return SalesGrid(series_store, series_dept, weeks, grid, np.zeros_like(grid, dtype=bool))


def aggregate(grid: SalesGrid) -> Aggregates:
    """Returns the aggregates of a whole snapshot."""
    departments, department = np.unique(grid.dept, return_inverse=True)
    stores, store = np.unique(grid.store, return_inverse=True)
    department_sum, department_rows = _group_sum(grid.sales, department, len(departments))
    return Aggregates(
        departments=departments,
        department_sales=department_sum / department_rows,
        stores=stores,
        store_sales=_group_sum(grid.sales, store, len(stores))[0],
        store_mean_13=_group_sum(rolling_mean(grid.sales, 13), store, len(stores))[0],
    )


def sales_history(grid: SalesGrid, aggregates: Aggregates, features: FeatureSet) -> Columns:
    """Returns the columns computed from sales, each [rows], rows ordered by series and origin.

    A series has a row at each origin at which it has sales, and at each of ``grid.forecast_from``.
    """
    department = np.searchsorted(aggregates.departments, grid.dept)
    store = np.searchsorted(aggregates.stores, grid.store)
    columns = _series_columns(grid.sales)
    # An estimate has no first week: the age says that the series has no history of its own.
    columns["weeks_since_first"][grid.is_estimated[:, 0]] = np.nan
    columns["share_of_store"] = ratio(columns["rolling_mean_13"], aggregates.store_mean_13[store])
    columns |= _group_columns(aggregates, department, store)
    columns |= _horizon_columns(grid.sales, aggregates.department_sales, department, features.horizon_weeks)
    present = grid.has_row
    return {name: values[present] for name, values in columns.items()}


def targets(grid: SalesGrid, horizon_weeks: int) -> Columns:
    """Returns the labels ``target_h1`` ..: sales h weeks after a row's origin, [rows]; NaN where unknown."""
    present = grid.has_row
    columns = {}
    for h in range(1, horizon_weeks + 1):
        later = np.full_like(grid.sales, np.nan)
        later[:, :-h] = grid.sales[:, h:]
        columns[f"target_h{h}"] = later[present]
    return columns


def shift(grid: Grid, weeks: int) -> Grid:
    """Returns the grid shifted by ``weeks``: at week t the value of t - weeks, NaN before the first week.

    Raises:
        ValueError: ``weeks`` is negative, which would read the future.
    """
    if weeks < 0:
        raise ValueError(f"a shift of {weeks} weeks reads the future")
    shifted = np.empty_like(grid)
    shifted[:, :weeks] = np.nan
    shifted[:, weeks:] = grid[:, : max(grid.shape[1] - weeks, 0)]
    return shifted


def ratio(numerator: Grid, denominator: Grid) -> Grid:
    """Returns the quotient of two amounts in US dollars, NaN where the denominator is not above zero."""
    out = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > _ZERO_USD)


def rolling_mean(grid: Grid, weeks: int) -> Grid:
    """Returns the mean of the weeks t-weeks+1..t that exist, NaN where none does."""
    count = _count(grid, weeks)
    return np.divide(_sum(grid, weeks), count, out=np.full_like(grid, np.nan), where=count > 0)


def rolling_std(grid: Grid, weeks: int) -> Grid:
    """Returns the standard deviation of the weeks t-weeks+1..t that exist, NaN where fewer than two do."""
    mean, count = rolling_mean(grid, weeks), _count(grid, weeks)
    squares = np.zeros_like(grid)
    for values in _newest_first(_window(grid, weeks, np.nan)):
        squares += np.fmax((values - mean) ** 2, 0)  # 0 for NaN
    return np.sqrt(np.divide(squares, count - 1, out=np.full_like(grid, np.nan), where=count > 1))


def rolling_median(grid: Grid, weeks: int) -> Grid:
    """Returns the median of the weeks t-weeks+1..t that exist, NaN where none does."""
    ordered = np.sort(_window(grid, weeks, np.nan))  # NaN last
    count = _count(grid, weeks).astype(np.intp)[..., np.newaxis]
    middle = (np.maximum(count - 1, 0) // 2, count // 2)
    low, high = (np.take_along_axis(ordered, index, axis=2)[..., 0] for index in middle)
    median: Grid = (low + high) / 2
    return median


def year_on_year(grid: Grid, weeks: int) -> Grid:
    """Returns the sum of weeks t-weeks+1..t over the sum 52 weeks earlier, of weeks known in both years."""
    year_before = shift(grid, YEAR_WEEKS)
    this_year = np.where(np.isnan(year_before), np.nan, grid)
    last_year = np.where(np.isnan(grid), np.nan, year_before)
    return ratio(_sum(this_year, weeks), _sum(last_year, weeks))


def _series_columns(sales: Grid) -> Columns:
    columns = {"sales_0": sales, **{f"lag_{n}": shift(sales, n) for n in LAGS}}
    for n in ROLLING_WEEKS:
        columns[f"rolling_mean_{n}"] = rolling_mean(sales, n)
        columns[f"rolling_std_{n}"] = rolling_std(sales, n)
        columns[f"rolling_median_{n}"] = rolling_median(sales, n)
    window = _newest_first(_window(sales, 13, np.nan))
    known = ~np.isnan(sales)
    columns["rolling_min_13"] = np.fmin.reduce(window)
    columns["rolling_max_13"] = np.fmax.reduce(window)
    columns["observed_weeks_13"] = _count(sales, 13)
    first = known.argmax(axis=1, keepdims=True)
    week = np.arange(sales.shape[1], dtype=np.float64)
    columns["weeks_since_first"] = np.where(known.any(axis=1, keepdims=True), week - first, np.nan)
    sold = np.where(sales > 0, week, np.nan)
    columns["weeks_since_last_sale"] = week - np.fmax.accumulate(sold, axis=1)
    columns["trend_4_13"] = ratio(columns["rolling_mean_4"], columns["rolling_mean_13"])
    for n in (4, 13):
        columns[f"last_year_mean_{n}"] = shift(columns[f"rolling_mean_{n}"], YEAR_WEEKS)
        columns[f"year_on_year_{n}"] = year_on_year(sales, n)
    return columns


def _group_columns(aggregates: Aggregates, department: NDArray[np.intp], store: NDArray[np.intp]) -> Columns:
    sales = aggregates.department_sales
    mean_4 = rolling_mean(sales, 4)
    store_sales = aggregates.store_sales
    store_trend = ratio(rolling_mean(store_sales, 4), rolling_mean(store_sales, 13))
    return {
        "dept_mean_0": sales[department],
        **{f"dept_lag_{n}": shift(sales, n)[department] for n in DEPT_LAGS},
        "dept_mean_4": mean_4[department],
        "dept_trend_4_13": ratio(mean_4, rolling_mean(sales, 13))[department],
        "dept_year_on_year_13": year_on_year(sales, 13)[department],
        "store_trend_4_13": store_trend[store],
        "store_year_on_year_13": year_on_year(store_sales, 13)[store],
    }


def _horizon_columns(
    sales: Grid, department_sales: Grid, department: NDArray[np.intp], horizon_weeks: int
) -> Columns:
    level = shift(rolling_mean(department_sales, 13), YEAR_WEEKS)
    columns: Columns = {}
    for h in range(1, horizon_weeks + 1):
        for end, weeks in LAST_YEAR_OFFSETS.items():
            columns[f"last_year{end}_h{h}"] = shift(sales, YEAR_WEEKS - weeks - h)
        columns[f"dept_season_h{h}"] = ratio(shift(department_sales, YEAR_WEEKS - h), level)[department]
    return columns


def _window(grid: Grid, weeks: int, before: float) -> Grid:
    """Returns a view [series, weeks of the grid, weeks]: at week t the weeks t-weeks+1..t.

    Args:
        grid: [series, weeks of the grid].
        weeks: Length of the window that ends at t.
        before: Value of the weeks before the grid's first.
    """
    padding = np.full((len(grid), weeks - 1), before)
    return sliding_window_view(np.concatenate([padding, grid], axis=1), weeks, axis=1)


def _newest_first(window: Grid) -> Grid:
    """Returns the windows with the weeks t, t-1, .. as the first axis."""
    return np.moveaxis(window, 2, 0)[::-1]


def _sum(grid: Grid, weeks: int) -> Grid:
    """Returns the sum of the weeks t-weeks+1..t that exist, added from t backwards; NaN where none does."""
    total = np.zeros_like(grid)
    # Adding 0 changes no bit of a sum that began with 0.
    for values in _newest_first(_window(np.where(np.isnan(grid), 0, grid), weeks, 0)):
        total += values
    total[_count(grid, weeks) == 0] = np.nan
    return total


def _count(grid: Grid, weeks: int) -> Grid:
    """Returns the number of weeks t-weeks+1..t that exist."""
    count = (~np.isnan(grid)).cumsum(axis=1, dtype=np.float64)  # whole numbers: no sum of them is rounded
    count[:, weeks:] -= count[:, :-weeks].copy()
    return count


def _group_sum(grid: Grid, group: NDArray[np.intp], groups: int) -> tuple[Grid, Grid]:
    """Returns sum (NaN where no value exists) and count of the values by group, each [groups, weeks].

    It adds series by series: the order of NumPy's own sum depends on the length of the array, so a series
    that starts later would change bits of earlier weeks.
    """
    total = np.zeros((groups, grid.shape[1]))
    count = np.zeros_like(total)
    known = ~np.isnan(grid)
    for number, values, exists in zip(group, grid, known, strict=True):
        np.add(total[number], values, out=total[number], where=exists)
        count[number] += exists
    total[count == 0] = np.nan
    return total, count
