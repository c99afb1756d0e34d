"""Formulas of the ``sales_history`` view, for all series and origins at once.

All work on a grid of float64 [series, weeks] that has each week from first to last, NaN where a series has no
row. A value at week t is made of weeks up to t alone, by the same operations in the same order whatever comes
later, so a change after t changes no bit of it. A ratio to nothing, or to less than nothing (more returned
than sold), is NaN. Standard deviations are those of a sample (divided by n - 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.definitions import HORIZON_FEATURES, LAGS, ROLLING_WEEKS, FeatureSet
from shelfcast.job import UserError

Grid = NDArray[np.float64]
Columns = dict[str, Grid]

YEAR = 52
#: ``last_year_after`` looks at w - 51 weeks, which must not lie after the origin.
MAX_HORIZON_WEEKS = YEAR - 1
#: Half a cent: where sales and returns cancel, adding in floating point leaves up to 1e-9 or so.
_NOTHING_USD = 0.005


@dataclass(frozen=True)
class SalesGrid:
    """Sales in US dollars of all series of a snapshot, or of some of them.

    Attributes:
        store: Store of each series, int64 [series].
        dept: Department of each series, int64 [series].
        weeks: datetime64[D] [weeks], 7 days apart, from the snapshot's first to its last.
        sales: float64 [series, weeks], NaN where the series has no row.
    """

    store: NDArray[np.int64]
    dept: NDArray[np.int64]
    weeks: NDArray[np.datetime64]
    sales: Grid

    def part(self, number: int, of: int) -> SalesGrid:
        """Returns each ``of``-th series, from the one with that number on."""
        rows = slice(number, None, of)
        return replace(self, store=self.store[rows], dept=self.dept[rows], sales=self.sales[rows])


@dataclass(frozen=True)
class Aggregates:
    """What series need to know about each other.

    Attributes:
        departments: Ascending, int64 [departments].
        department_sales: Mean over the stores that have a row in the week, float64 [departments, weeks].
        stores: Ascending, int64 [stores].
        store_sales: Sum over the departments, float64 [stores, weeks].
        store_mean_13: Sum over the departments of their ``rolling_mean_13``, float64 [stores, weeks].
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
        UserError: No rows, sales that are no number, a week that is not whole weeks after the first, or two
            rows of a series in one week.
    """
    if len(week) == 0:
        raise UserError("BadData", "the snapshot has no sales rows; load some first")
    if not np.isfinite(sales).all():
        at = int((~np.isfinite(sales)).argmax())
        name = f"store {store[at]}, dept {dept[at]}"
        raise UserError("BadData", f"{name} has sales of {sales[at]} in week {week[at]}")
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
        number, at = divmod(int(cells.argmax()), len(weeks))
        name = f"store {series_store[number]}, dept {series_dept[number]}"
        raise UserError("BadData", f"{name} has more than one row in week {weeks[at]}")
    grid = np.full((len(pair), len(weeks)), np.nan)
    grid[row, column] = sales + 0.0  # no negative zero: a minimum of both zeros may be either
    return SalesGrid(series_store, series_dept, weeks, grid)


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
    """Returns the columns of ``sales_history``, each [rows], rows ordered by series and origin.

    A series has a row at each origin for which it has sales.

    Raises:
        UserError: The horizon would need sales from after the origin.
    """
    check_horizon(features.horizon_weeks)
    department = np.searchsorted(aggregates.departments, grid.dept)
    store = np.searchsorted(aggregates.stores, grid.store)
    columns = _series_columns(grid.sales)
    columns["share_of_store"] = ratio(columns["rolling_mean_13"], aggregates.store_mean_13[store])
    columns |= _group_columns(aggregates, department, store)
    columns |= _horizon_columns(grid.sales, aggregates.department_sales, department, features.horizon_weeks)
    present = ~np.isnan(grid.sales)
    return {name: columns[name][present] for name in features.view_columns["sales_history"]}


def check_horizon(horizon_weeks: int) -> None:
    """Refuses a horizon whose features would need sales from after the origin.

    Raises:
        UserError: It is not 1 to ``MAX_HORIZON_WEEKS``.
    """
    if not 1 <= horizon_weeks <= MAX_HORIZON_WEEKS:
        message = f"horizonWeeks is {horizon_weeks}; it must be 1 to {MAX_HORIZON_WEEKS}"
        raise UserError("InvalidInput", message)


def targets(grid: SalesGrid, horizon_weeks: int) -> Columns:
    """Returns the labels ``target_h1`` ..: sales h weeks after a row's origin, [rows]; NaN where unknown."""
    present = ~np.isnan(grid.sales)
    columns = {}
    for h in range(1, horizon_weeks + 1):
        later = np.full_like(grid.sales, np.nan)
        later[:, :-h] = grid.sales[:, h:]
        columns[f"target_h{h}"] = later[present]
    return columns


def shift(grid: Grid, weeks: int) -> Grid:
    """Returns the grid as it was so many weeks before each week; NaN before the first.

    Raises:
        ValueError: A negative number would read the future.
    """
    if weeks < 0:
        raise ValueError(f"a shift of {weeks} weeks reads the future")
    shifted = np.full_like(grid, np.nan)
    shifted[:, weeks:] = grid[:, : max(grid.shape[1] - weeks, 0)]
    return shifted


def ratio(numerator: Grid, denominator: Grid) -> Grid:
    """Returns the quotient of two amounts in US dollars, NaN where the denominator is nothing or less."""
    out = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > _NOTHING_USD)


def rolling_mean(grid: Grid, weeks: int) -> Grid:
    """Returns the mean of the weeks t-weeks+1..t that exist, NaN where none does."""
    return _mean(_window(grid, weeks))


def year_on_year(grid: Grid, weeks: int) -> Grid:
    """Returns the sum of weeks t-weeks+1..t over that of 52 weeks before, of weeks known in both years."""
    year_before = shift(grid, YEAR)
    this_year = np.where(np.isnan(year_before), np.nan, grid)
    last_year = np.where(np.isnan(grid), np.nan, year_before)
    return ratio(_sum(_window(this_year, weeks))[0], _sum(_window(last_year, weeks))[0])


def _series_columns(sales: Grid) -> Columns:
    columns = {"sales_0": sales, **{f"lag_{n}": shift(sales, n) for n in LAGS}}
    for n in ROLLING_WEEKS:
        window = _window(sales, n)
        columns[f"rolling_mean_{n}"] = _mean(window)
        columns[f"rolling_std_{n}"] = _std(window)
        columns[f"rolling_median_{n}"] = _median(window)
    window = _window(sales, 13)
    known = ~np.isnan(sales)
    columns["rolling_min_13"] = np.fmin.reduce(window)
    columns["rolling_max_13"] = np.fmax.reduce(window)
    columns["observed_weeks_13"] = _sum(window)[1]
    first = known.argmax(axis=1, keepdims=True)
    columns["weeks_since_first"] = (np.arange(sales.shape[1]) - first).astype(np.float64)
    columns["trend_4_13"] = ratio(columns["rolling_mean_4"], columns["rolling_mean_13"])
    for n in (4, 13):
        columns[f"last_year_mean_{n}"] = shift(columns[f"rolling_mean_{n}"], YEAR)
        columns[f"year_on_year_{n}"] = year_on_year(sales, n)
    return columns


def _group_columns(aggregates: Aggregates, department: NDArray[np.intp], store: NDArray[np.intp]) -> Columns:
    sales = aggregates.department_sales
    mean_4 = rolling_mean(sales, 4)
    store_sales = aggregates.store_sales
    store_trend = ratio(rolling_mean(store_sales, 4), rolling_mean(store_sales, 13))
    return {
        "dept_mean_0": sales[department],
        "dept_mean_4": mean_4[department],
        "dept_trend_4_13": ratio(mean_4, rolling_mean(sales, 13))[department],
        "dept_year_on_year_13": year_on_year(sales, 13)[department],
        "store_trend_4_13": store_trend[store],
        "store_year_on_year_13": year_on_year(store_sales, 13)[store],
    }


def _horizon_columns(
    sales: Grid, department_sales: Grid, department: NDArray[np.intp], horizon_weeks: int
) -> Columns:
    level = shift(rolling_mean(department_sales, 13), YEAR)
    columns: Columns = {}
    for h in range(1, horizon_weeks + 1):
        values = {
            "last_year": shift(sales, YEAR - h),
            "last_year_before": shift(sales, YEAR + 1 - h),
            "last_year_after": shift(sales, YEAR - 1 - h),
            "dept_season": ratio(shift(department_sales, YEAR - h), level)[department],
        }
        columns |= {f"{name}_h{h}": values[name] for name in HORIZON_FEATURES}
    return columns


def _window(grid: Grid, weeks: int) -> Grid:
    """Returns [weeks, series, weeks of the grid]: at week t the weeks t, t-1, .. t-weeks+1."""
    return np.stack([shift(grid, n) for n in range(weeks)])


def _sum(window: Grid) -> tuple[Grid, Grid]:
    """Returns the sum of what exists, week by week (NaN where nothing does), and how many there are."""
    total = np.zeros_like(window[0])
    count = np.zeros_like(window[0])
    for values in window:
        known = ~np.isnan(values)
        np.add(total, values, out=total, where=known)
        count += known
    total[count == 0] = np.nan
    return total, count


def _mean(window: Grid) -> Grid:
    total, count = _sum(window)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _std(window: Grid) -> Grid:
    squares, count = _sum((window - _mean(window)) ** 2)
    return np.sqrt(np.divide(squares, count - 1, out=np.full_like(squares, np.nan), where=count > 1))


def _median(window: Grid) -> Grid:
    ordered = np.sort(window, axis=0)  # NaN last
    count = (~np.isnan(window)).sum(axis=0)
    middle = (np.maximum(count - 1, 0) // 2, count // 2)
    low, high = (np.take_along_axis(ordered, index[np.newaxis], axis=0)[0] for index in middle)
    median: Grid = (low + high) / 2
    return median


def _group_sum(grid: Grid, group: NDArray[np.intp], groups: int) -> tuple[Grid, Grid]:
    """Returns sum (NaN of nothing) and count of what exists by group, each [groups, weeks].

    Adds series by series: NumPy's own sum chooses its order by the length of the array, so a series that
    starts later would change bits of the weeks before.
    """
    total = np.zeros((groups, grid.shape[1]))
    count = np.zeros_like(total)
    known = ~np.isnan(grid)
    for number, values, exists in zip(group, grid, known, strict=True):
        np.add(total[number], values, out=total[number], where=exists)
        count[number] += exists
    total[count == 0] = np.nan
    return total, count
