"""Weekly values beside sales: from rows to a grid, and from the grid to what is known at each origin."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfcast.features.definitions import MAX_HORIZON_WEEKS, announced_weeks, lag_weeks
from shelfcast.job import UserError
from shelfcast.snapshot import DeclaredColumn

Grid = NDArray[np.float64]


def week_columns(week: pa.ChunkedArray, weeks: NDArray[np.datetime64], what: str) -> NDArray[np.int64]:
    """Returns the place of each row's week in a grid; outside of it for weeks that no origin can use.

    Args:
        week: Of each row, date32 [rows].
        weeks: Of the sales, each from first to last.
        what: The rows are of, for messages.

    Raises:
        UserError: A week is not whole weeks from the sales.
    """
    day = week.to_numpy().astype("datetime64[D]")
    column: NDArray[np.int64]
    column, remainder = np.divmod((day - weeks[0]).astype(np.int64), 7)
    if remainder.any():
        odd = day[remainder.argmax()]
        message = f"the {what} {odd} is not whole weeks from the first sales week, {weeks[0]}"
        raise UserError("BadData", message)
    return column


def fill(rows: int, weeks: int, row: NDArray[np.int64], column: NDArray[np.int64], values: Grid) -> Grid:
    """Returns values as a grid [rows, weeks + ``MAX_HORIZON_WEEKS``], NaN where there is none.

    Weeks after the sales' last are there for what is announced.

    Args:
        rows: Of the grid.
        weeks: With sales.
        row: Of each value; below 0 for a value that is not used.
        column: Of each value; outside of the grid for a value that is not used.
        values: NaN where unknown.
    """
    grid = np.full((rows, weeks + MAX_HORIZON_WEEKS), np.nan)
    used = (row >= 0) & (column >= 0) & (column < grid.shape[1])
    grid[row[used], column[used]] = values[used]
    return grid


def known_columns(grid: Grid, column: DeclaredColumn, horizon_weeks: int) -> dict[str, Grid]:
    """Returns ``<name>`` and, for an announced column, ``<name>_h1`` .., each [rows, weeks with sales].

    Args:
        grid: As ``fill`` returns it.
        column: Says when a value is known.
        horizon_weeks: Largest number of weeks ahead.
    """
    weeks, lag, announced = grid.shape[1] - MAX_HORIZON_WEEKS, lag_weeks(column), announced_weeks(column)
    value = np.full((len(grid), weeks), np.nan)
    value[:, lag:] = grid[:, : max(weeks - lag, 0)]
    columns = {column.name: value}
    if announced:
        for h in range(1, horizon_weeks + 1):
            later = grid[:, h : weeks + h]
            columns[f"{column.name}_h{h}"] = later if h <= announced else np.full_like(later, np.nan)
    return columns
