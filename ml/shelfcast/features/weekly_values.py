"""Weekly covariates: from rows to a grid, and from the grid to the values known at each origin."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfcast.features.definitions import MAX_HORIZON_WEEKS, publication_lag_weeks, weeks_known_ahead
from shelfcast.job import UserError
from shelfcast.snapshot import Covariate

Grid = NDArray[np.float64]


def week_indices(week: pa.ChunkedArray, weeks: NDArray[np.datetime64], what: str) -> NDArray[np.int64]:
    """Returns each row's week as an index into ``weeks``; weeks before or after them are outside its range.

    Args:
        week: Week of each row, date32 [rows].
        weeks: Weeks with sales, all from first to last.
        what: Name of the rows, for messages.

    Raises:
        UserError: A week is not whole weeks away from the first week with sales.
    """
    day = week.to_numpy().astype("datetime64[D]")
    index: NDArray[np.int64]
    index, remainder = np.divmod((day - weeks[0]).astype(np.int64), 7)
    if remainder.any():
        odd = day[remainder.argmax()]
        message = f"the {what} {odd} is not whole weeks from the first sales week, {weeks[0]}"
        raise UserError("BadData", message)
    return index


def to_grid(rows: int, weeks: int, row: NDArray[np.int64], column: NDArray[np.int64], values: Grid) -> Grid:
    """Returns values as a grid [rows, weeks + ``MAX_HORIZON_WEEKS``], NaN where there is none.

    The weeks after the last one with sales hold values that are known in advance.

    Args:
        rows: Number of rows of the grid.
        weeks: Number of weeks with sales.
        row: Row of each value; below 0 for a value that is not used.
        column: Column of each value; outside the grid for a value that is not used.
        values: Values, NaN where unknown.
    """
    grid = np.full((rows, weeks + MAX_HORIZON_WEEKS), np.nan)
    used = (row >= 0) & (column >= 0) & (column < grid.shape[1])
    grid[row[used], column[used]] = values[used]
    return grid


def covariate_columns(grid: Grid, covariate: Covariate, horizon_weeks: int) -> dict[str, Grid]:
    """Returns a covariate's feature columns, each [rows, weeks with sales].

    The column ``<name>`` has the newest value known at each origin. A covariate known in advance also has
    ``<name>_h1`` .., its values in the target weeks, NaN further ahead than it is known.

    Args:
        grid: Values as ``to_grid`` returns them.
        covariate: Name and publication lag.
        horizon_weeks: Largest number of weeks ahead.
    """
    weeks = grid.shape[1] - MAX_HORIZON_WEEKS
    lag, known_ahead = publication_lag_weeks(covariate), weeks_known_ahead(covariate)
    newest = np.full((len(grid), weeks), np.nan)
    newest[:, lag:] = grid[:, : max(weeks - lag, 0)]
    columns = {covariate.name: newest}
    if known_ahead:
        for h in range(1, horizon_weeks + 1):
            ahead = grid[:, h : weeks + h]
            columns[f"{covariate.name}_h{h}"] = ahead if h <= known_ahead else np.full_like(ahead, np.nan)
    return columns
