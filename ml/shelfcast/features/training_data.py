"""The folder that the features job leaves for training and evaluation.

- ``series-00.parquet`` .. ``series-15.parquet``: one row a series and origin week, a series wholly in one
  file, ordered by (store, dept, origin). Columns: ``store`` int64, ``dept`` int64, ``origin`` date32, then
  all columns of ``sales_history`` (with ``last_year_h1`` ..), ``store_externals`` and ``store_attributes`` as
  double, then the labels ``target_h1`` .. ``target_hH`` as double: sales in the week origin + 7h days. A
  missing value (an unknown feature, a week without a row, a week after the snapshot) is null in the file, NaN
  in pandas; never 0.
- ``calendar.parquet``: one row a target week, from the first week of the snapshot to at least 60 weeks after
  its last: ``week`` date32, then all columns of ``calendar`` as int64. Join it on origin + 7h days.
- ``features.json``: ``{"featureSetVersion": ..., "horizonWeeks": H, "features": [{name, view, column},
  ..]}``, the list as model.json wants it; ``{horizon}`` in a column stands for h.

A series has a row at each origin for which it has sales. Series number n, in the order of (store, dept), is
in file n mod 16, so that each file holds series of all stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shelfcast.calendar import WEEK, calendar_features, week_range
from shelfcast.features.definitions import CALENDAR, FeatureSet
from shelfcast.features.sales_history import (
    Aggregates,
    SalesGrid,
    aggregate,
    sales_grid,
    sales_history,
    targets,
)
from shelfcast.features.store_features import StoreFeatures, store_features
from shelfcast.job import write_json

SERIES_FILES = 16
CALENDAR_WEEKS_AHEAD = 60


@dataclass(frozen=True)
class Inputs:
    """All that the features of a snapshot are made of."""

    grid: SalesGrid
    aggregates: Aggregates
    store_features: StoreFeatures

    @property
    def weeks(self) -> tuple[date, date]:
        """First and last week with sales."""
        return self.grid.weeks[0].item(), self.grid.weeks[-1].item()


def prepare(sales: pa.Table, store_weeks: pa.Table, stores: pa.Table) -> Inputs:
    """Returns the inputs made of a snapshot's tables, which are as ``shelfcast.snapshot`` reads them.

    Raises:
        UserError: No sales, or rows that break the rules of ``sales_grid`` or ``store_features``.
    """
    week = sales["week"].to_numpy().astype("datetime64[D]")
    grid = sales_grid(
        sales["store"].to_numpy(), sales["dept"].to_numpy(), week, sales["weekly_sales"].to_numpy()
    )
    aggregates = aggregate(grid)
    return Inputs(grid, aggregates, store_features(aggregates.stores, grid.weeks, store_weeks, stores))


def write(
    directory: Path, sales: pa.Table, store_weeks: pa.Table, stores: pa.Table, features: FeatureSet
) -> str:
    """Writes the whole folder in this process; needs neither database nor Ray.

    Args:
        directory: Must exist.
        sales: ``store``, ``dept``, ``week`` (date32), ``weekly_sales`` (US dollars); others are not used.
        store_weeks: ``store``, ``week`` and ``store_externals`` (double, null where unknown).
        stores: ``store``, ``type`` (a letter), ``size`` (square feet).
        features: To be made.

    Returns:
        The feature set's version.

    Raises:
        UserError: The tables break a rule, or the horizon is too far.
    """
    inputs = prepare(sales, store_weeks, stores)
    for number in range(SERIES_FILES):
        write_series(directory, number, series_rows(inputs, number, features))
    return write_shared(directory, inputs, features)


def series_rows(inputs: Inputs, number: int, features: FeatureSet) -> pa.Table:
    """Returns the rows of one series file."""
    grid = inputs.grid.part(number, SERIES_FILES)
    series, week = np.nonzero(~np.isnan(grid.sales))
    stores = inputs.store_features
    store = np.searchsorted(stores.stores, grid.store)[series]
    columns = {
        **sales_history(grid, inputs.aggregates, features),
        **{name: values[store, week] for name, values in stores.externals.items()},
        **{name: values[store] for name, values in stores.attributes.items()},
        **targets(grid, features.horizon_weeks),
    }
    return pa.table(
        {
            "store": grid.store[series],
            "dept": grid.dept[series],
            "origin": pa.array(grid.weeks[week]),
            **{name: nullable(values) for name, values in columns.items()},
        }
    )


def write_series(directory: Path, number: int, rows: pa.Table) -> None:
    """Writes one series file."""
    _write(series_path(directory, number), rows)


def series_path(directory: Path, number: int) -> Path:
    """Returns the path of one series file."""
    return directory / f"series-{number:02}.parquet"


def write_shared(directory: Path, inputs: Inputs, features: FeatureSet) -> str:
    """Writes what is there beside the series files; returns the feature set's version."""
    _write(directory / "calendar.parquet", calendar_rows(*inputs.weeks))
    description = {
        "featureSetVersion": features.version,
        "horizonWeeks": features.horizon_weeks,
        "features": features.model_features,
    }
    write_json(directory / "features.json", description)
    return features.version


def calendar_rows(first: date, last: date) -> pa.Table:
    """Returns the rows of ``calendar`` from the first week to ``CALENDAR_WEEKS_AHEAD`` after the last."""
    weeks = week_range(first, last + CALENDAR_WEEKS_AHEAD * WEEK)
    rows = [calendar_features(week) for week in weeks]
    columns = {name: pa.array([row[name] for row in rows], pa.int64()) for name in CALENDAR}
    return pa.table({"week": pa.array(weeks, pa.date32()), **columns})


def nullable(values: NDArray[np.float64]) -> pa.Array:
    """Returns an Arrow array that is null where the values are NaN."""
    return pa.array(values, from_pandas=True)


def _write(path: Path, rows: pa.Table) -> None:
    """Writes Parquet so that a reader sees the whole file or none."""
    temporary = path.with_name(f".{path.name}.partial")
    pq.write_table(rows, temporary)
    temporary.replace(path)
