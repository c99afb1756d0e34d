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

A series has a row at each origin for which it has sales; in a backtest also at the one that is forecast from.
Series number n, in the order of (store, dept), is
in file n mod 16, so that each file holds series of all stores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shelfcast.calendar import WEEK, calendar_features, week_range
from shelfcast.features.definitions import CALENDAR, MAX_HORIZON_WEEKS, FeatureSet
from shelfcast.features.sales_history import (
    Aggregates,
    SalesGrid,
    aggregate,
    sales_grid,
    sales_history,
    targets,
)
from shelfcast.features.store_features import (
    StoreFeatures,
    attribute_columns,
    external_columns,
    store_features,
)
from shelfcast.features.weekly_values import Grid, fill, known_columns, week_columns
from shelfcast.job import write_json
from shelfcast.snapshot import EXTRAS, STORE_AS_A_WHOLE

SERIES_FILES = 16
CALENDAR_WEEKS_AHEAD = 60
NO_EXTRAS = EXTRAS.schema.empty_table()


@dataclass(frozen=True)
class Inputs:
    """All that the features of a snapshot are made of.

    Attributes:
        grid: Sales of all series.
        aggregates: Of all series.
        store_features: Of all stores.
        series_extras: Declared values of series' weeks by name, each as ``weekly_values.fill`` returns them.
    """

    grid: SalesGrid
    aggregates: Aggregates
    store_features: StoreFeatures
    series_extras: dict[str, Grid]

    @property
    def weeks(self) -> tuple[date, date]:
        """First and last week with sales."""
        return self.grid.weeks[0].item(), self.grid.weeks[-1].item()

    def part(self, number: int, of: int) -> Inputs:
        """Returns the same with each ``of``-th series, from the one with that number on."""
        rows = slice(number, None, of)
        extras = {name: values[rows] for name, values in self.series_extras.items()}
        return replace(self, grid=self.grid.part(number, of), series_extras=extras)


@dataclass(frozen=True)
class Asked:
    """Rows of features beyond those of weeks with sales.

    Attributes:
        forecast_from: Origins at which each series has a row.
        new_series: Stores and departments of series without any sales so far.
    """

    forecast_from: tuple[date, ...] = ()
    new_series: tuple[tuple[int, int], ...] = ()


def prepare(
    sales: pa.Table,
    store_weeks: pa.Table,
    stores: pa.Table,
    extras: pa.Table = NO_EXTRAS,
    asked: Asked = Asked(),
) -> Inputs:
    """Returns the inputs made of a snapshot's tables, which are as ``shelfcast.snapshot`` reads them.

    Raises:
        UserError: No sales, or rows that break the rules of ``sales_grid`` or ``store_features``.
    """
    grid = grid_of(sales)
    aggregates = aggregate(grid)
    grid = grid.asked(asked.forecast_from, asked.new_series)
    whole = pc.equal(extras["dept"], STORE_AS_A_WHOLE)
    of_stores = store_features(aggregates.stores, grid.weeks, store_weeks, stores, extras.filter(whole))
    return Inputs(grid, aggregates, of_stores, _series_extras(grid, extras.filter(pc.invert(whole))))


def grid_of(sales: pa.Table) -> SalesGrid:
    """Returns the grid of a snapshot's sales.

    Raises:
        UserError: No sales, or rows that break the rules of ``sales_grid``.
    """
    week = sales["week"].to_numpy().astype("datetime64[D]")
    return sales_grid(
        sales["store"].to_numpy(), sales["dept"].to_numpy(), week, sales["weekly_sales"].to_numpy()
    )


def write(
    directory: Path,
    sales: pa.Table,
    store_weeks: pa.Table,
    stores: pa.Table,
    features: FeatureSet,
    extras: pa.Table = NO_EXTRAS,
    asked: Asked = Asked(),
) -> str:
    """Writes the whole folder in this process; needs neither database nor Ray.

    Args:
        directory: Must exist.
        sales: ``store``, ``dept``, ``week`` (date32), ``weekly_sales`` (US dollars); others are not used.
        store_weeks: ``store``, ``week`` and ``snapshot.EXTERNALS`` (double, null where unknown).
        stores: ``store``, ``type`` (a letter), ``size`` (square feet).
        features: To be made.
        extras: As ``snapshot.read_extras`` returns them.
        asked: Further rows.

    Returns:
        The feature set's version.

    Raises:
        UserError: The tables break a rule.
    """
    inputs = prepare(sales, store_weeks, stores, extras, asked)
    for number in range(SERIES_FILES):
        write_series(directory, number, series_rows(inputs, number, features))
    return write_shared(directory, inputs, features)


def series_rows(inputs: Inputs, number: int, features: FeatureSet) -> pa.Table:
    """Returns the rows of one series file."""
    part = inputs.part(number, SERIES_FILES)
    grid, stores = part.grid, part.store_features
    series, week = np.nonzero(grid.has_row)
    store = np.searchsorted(stores.stores, grid.store)[series]
    history = sales_history(grid, part.aggregates, features)
    history |= {name: values[series, week] for name, values in _extra_columns(part, features).items()}
    columns = {
        **{name: history[name] for name in features.view_columns["sales_history"]},
        **{name: values[store, week] for name, values in external_columns(stores, features).items()},
        **{name: values[store] for name, values in attribute_columns(stores, features).items()},
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


def _series_extras(grid: SalesGrid, rows: pa.Table) -> dict[str, Grid]:
    """Returns the declared values of series' weeks by name."""
    place = {pair: n for n, pair in enumerate(zip(grid.store.tolist(), grid.dept.tolist(), strict=True))}
    grids = {}
    for name in pc.unique(rows["name"]).to_pylist():
        of_name = rows.filter(pc.equal(rows["name"], name))
        keys = zip(of_name["store"].to_pylist(), of_name["dept"].to_pylist(), strict=True)
        row = np.array([place.get(key, -1) for key in keys], dtype=np.int64)
        column = week_columns(of_name["week"], grid.weeks, f"{name} week")
        grids[name] = fill(len(grid.store), len(grid.weeks), row, column, of_name["value"].to_numpy())
    return grids


def _extra_columns(inputs: Inputs, features: FeatureSet) -> dict[str, Grid]:
    """Returns the declared columns of ``sales_history``, each [series, weeks]: at week t what is known."""
    columns: dict[str, Grid] = {}
    for column in features.columns:
        if column.of == "series_week":
            unknown = np.full((len(inputs.grid.store), len(inputs.grid.weeks) + MAX_HORIZON_WEEKS), np.nan)
            values = inputs.series_extras.get(column.name, unknown)
            columns |= known_columns(values, column, features.horizon_weeks)
    return columns


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
    # Hardly a value of a feature comes twice: looking for a dictionary would take as long as all else here.
    pq.write_table(rows, temporary, use_dictionary=False, compression="lz4")
    temporary.replace(path)
