"""Training data folder, which the features job writes for training and evaluation.

- ``series-00.parquet`` .. ``series-15.parquet``: one row for each series and origin week, a series in
  one file, ordered by (store, dept, origin). Columns: ``store`` int64, ``dept`` int64, ``origin`` date32,
  then all columns of ``sales_history`` (with ``last_year_h1`` ..), ``store_externals`` and
  ``store_attributes`` as double, then the labels ``target_h1`` .. ``target_hH`` as double: sales in the week
  origin + 7h days. A missing value (an unknown feature, a week without a row, a week after the snapshot) is
  null in the file, NaN in pandas; never 0.
- ``calendar.parquet``: one row for each target week, from the first week of the snapshot to at least 60 weeks
  after its last: ``week`` date32, then all columns of ``calendar`` as int64. Join it on origin + 7h days.
- ``features.json``: ``{"featureSetVersion": ..., "horizonWeeks": H, "features": [{name, view, column},
  ..]}``, the list in the form of model.json; ``{horizon}`` in a column stands for h. ``hiddenWeeks`` is the
  number of weeks in which series were shut or out of stock, if there are any.
- ``ids.json``: ids that people see by number; absent where all are plain (``shelfcast.ids``).
- ``levels.json``: members of the declared levels; absent where none is declared (``shelfcast.levels``).

A series has a row at each origin at which it has sales; in a backtest also at the forecast origin. Series
number n, in the order of (store, dept), is in file n mod 16, so that each file holds series of all stores.
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
from shelfcast.features.alike_weeks import alike_columns
from shelfcast.features.cold_start import with_estimates
from shelfcast.features.definitions import CALENDAR, MAX_HORIZON_WEEKS, FeatureSet, weeks_known_ahead
from shelfcast.features.intermittent import intermittent_columns, is_intermittent
from shelfcast.features.likes import Likes, with_like_departments, without_likes
from shelfcast.features.open_weeks import AVAILABLE, OPEN, hidden_weeks
from shelfcast.features.own_holidays import HOLIDAY, WEEKS_BACK, has_own_holidays
from shelfcast.features.planned_lift import lift_columns
from shelfcast.features.sales_history import (
    Aggregates,
    SalesGrid,
    aggregate,
    sales_grid,
    sales_history,
    targets,
)
from shelfcast.features.samples import TrainingDataDescription
from shelfcast.features.store_features import (
    StoreFeatures,
    attribute_columns,
    external_columns,
    extra_weeks,
    store_features,
)
from shelfcast.features.structural import Structural, fit_structural, structural_columns
from shelfcast.features.version import feature_set_version
from shelfcast.features.weekly_values import Grid, covariate_columns, to_grid, week_indices
from shelfcast.ids import PLAIN_IDS, Ids, write_ids
from shelfcast.job import UserError, write_json
from shelfcast.levels import NO_LEVELS, Levels, write_levels
from shelfcast.snapshot import EXTRAS, STORE_AS_A_WHOLE

SERIES_FILES = 16
CALENDAR_WEEKS_AHEAD = 60
NO_EXTRAS = EXTRAS.schema.empty_table()


@dataclass(frozen=True)
class Inputs:
    """Inputs of the features of a snapshot.

    Attributes:
        grid: Sales of all series.
        aggregates: Aggregates over all series.
        store_features: Covariates of all stores.
        series_extras: Grid of each covariate of series and weeks by name, as ``weekly_values.to_grid`` does.
        ids: Ids of the snapshot.
        levels: Levels of the snapshot.
        structural: Components of the structural forecast; None until ``with_structural``.
    """

    grid: SalesGrid
    aggregates: Aggregates
    store_features: StoreFeatures
    series_extras: dict[str, Grid]
    ids: Ids
    levels: Levels = NO_LEVELS
    structural: Structural | None = None

    @property
    def weeks(self) -> tuple[date, date]:
        """First and last week with sales."""
        return self.grid.weeks[0].item(), self.grid.weeks[-1].item()

    def part(self, number: int, of: int) -> Inputs:
        """Returns the inputs of every ``of``-th series, beginning with series ``number``."""
        rows = slice(number, None, of)
        extras = {name: values[rows] for name, values in self.series_extras.items()}
        structural = None if self.structural is None else self.structural.part(number, of)
        return replace(self, grid=self.grid.part(number, of), series_extras=extras, structural=structural)


@dataclass(frozen=True)
class ForecastRequest:
    """Request for feature rows beyond those of weeks with sales.

    Attributes:
        forecast_from: Origins at which every series gets a row.
        new_series: (store, dept) of series without sales so far.
    """

    forecast_from: tuple[date, ...] = ()
    new_series: tuple[tuple[int, int], ...] = ()


def prepare(
    sales: pa.Table,
    store_weeks: pa.Table,
    stores: pa.Table,
    extras: pa.Table = NO_EXTRAS,
    request: ForecastRequest = ForecastRequest(),
    ids: Ids = PLAIN_IDS,
) -> Inputs:
    """Returns the inputs for a snapshot's tables, in the form in which ``shelfcast.snapshot`` reads them.

    Raises:
        UserError: There are no sales, or ``sales_grid`` or ``store_features`` refuses the rows.
    """
    grid = grid_of(sales, extras).with_forecast_rows(request.forecast_from, request.new_series)
    # Series without sales change no aggregate, but their stores and departments need one.
    aggregates = aggregate(grid)
    likes = Likes.of(extras)
    of_stores, of_series = _split(without_likes(extras))
    covariates = store_features(
        aggregates.stores, grid.weeks, store_weeks, _with_type_codes(stores, ids), of_stores
    )
    grid = with_estimates(grid, aggregates.stores, covariates.attributes["size"], likes)
    aggregates = with_like_departments(aggregates, likes)
    return Inputs(grid, aggregates, covariates, _series_extras(grid, of_series), ids)


def with_structural(inputs: Inputs, features: FeatureSet) -> Inputs:
    """Returns the inputs with the components of the structural forecast, which all series share."""
    own_holiday, weeks_back = None, np.empty(0)
    if has_own_holidays(features.sources):
        own_holiday = _share_on_holiday(inputs, len(inputs.grid.weeks) + features.horizon_weeks + 1)
        weeks_back = np.unique(_weeks_back(inputs))
    lags = weeks_back[~np.isnan(weeks_back)].astype(int).tolist()
    components = fit_structural(inputs.grid, features.horizon_weeks, own_holiday, lags)
    return replace(inputs, structural=components)


def _share_on_holiday(inputs: Inputs, weeks: int) -> NDArray[np.float64]:
    """Returns the share of the stores that have a holiday of the data set's own in each week [weeks]."""
    share = np.zeros(weeks)
    flags = inputs.store_features.externals.get(HOLIDAY)
    if flags is not None:
        known = np.where(np.isnan(flags), 0.0, flags).mean(axis=0)[:weeks]
        share[: len(known)] = known
    return share


def _split(extras: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Returns the rows of stores as a whole, and those of series."""
    is_of_store = pc.equal(extras["dept"], STORE_AS_A_WHOLE)
    return extras.filter(is_of_store), extras.filter(pc.invert(is_of_store))


def _with_type_codes(stores: pa.Table, ids: Ids) -> pa.Table:
    """Returns stores with the number of their type, null where unknown, as column ``type_code``."""
    types = stores["type"].combine_chunks().dictionary_encode()
    numbers = []
    for type_ in types.dictionary.to_pylist():
        number = ids.number("type", type_)
        if number is None:
            raise UserError("BadData", f"store type {type_!r} has no number in raw.id; load the stores again")
        numbers.append(number)
    return stores.append_column("type_code", pa.array(numbers, pa.float64()).take(types.indices))


def grid_of(sales: pa.Table, extras: pa.Table = NO_EXTRAS) -> SalesGrid:
    """Returns the grid of a snapshot's sales, without those of weeks that ``open_weeks`` hides.

    Raises:
        UserError: There are no sales, or ``sales_grid`` refuses the rows.
    """
    week = sales["week"].to_numpy().astype("datetime64[D]")
    grid = sales_grid(
        sales["store"].to_numpy(), sales["dept"].to_numpy(), week, sales["weekly_sales"].to_numpy()
    )
    extras = extras.filter(pc.is_in(extras["name"], pa.array([OPEN, AVAILABLE.name])))
    if len(extras) == 0:
        return grid
    of_stores, of_series = _split(extras)
    stores = np.unique(grid.store)
    closed, out_of_stock = hidden_weeks(
        grid.store,
        stores,
        extra_weeks(stores, grid.weeks, of_stores),
        _series_extras(grid, of_series),
        len(grid.weeks),
    )
    return grid.without(closed, out_of_stock)


def write(
    directory: Path,
    sales: pa.Table,
    store_weeks: pa.Table,
    stores: pa.Table,
    features: FeatureSet,
    extras: pa.Table = NO_EXTRAS,
    request: ForecastRequest = ForecastRequest(),
    ids: Ids = PLAIN_IDS,
    levels: Levels = NO_LEVELS,
) -> str:
    """Writes the whole folder in this process, without database and Ray.

    Args:
        directory: Existing folder.
        sales: ``store``, ``dept``, ``week`` (date32), ``weekly_sales`` (US dollars); other columns are
            ignored.
        store_weeks: ``store``, ``week`` and ``snapshot.EXTERNALS`` (double, null where unknown).
        stores: ``store``, ``type``, ``size`` (square feet), the last two null where unknown.
        features: Features to compute.
        extras: Rows as ``snapshot.read_extras`` returns them.
        request: Rows beyond those of weeks with sales.
        ids: Ids of the tables' numbers.
        levels: Levels of the series.

    Returns:
        Version of the feature set.

    Raises:
        UserError: The tables cannot be used; see ``prepare``.
    """
    inputs = replace(prepare(sales, store_weeks, stores, extras, request, ids), levels=levels)
    inputs = with_structural(inputs, features)
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
    extra = _extra_columns(part, features) | _alike_columns(part, features) | _lift_columns(part, features)
    extra |= _structural_columns(part, features)
    if is_intermittent(features.covariates):
        extra |= intermittent_columns(grid.sales)
    history |= {name: values[series, week] for name, values in extra.items()}
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
    """Returns the grid of each covariate of series and weeks by name."""
    series = {pair: n for n, pair in enumerate(zip(grid.store.tolist(), grid.dept.tolist(), strict=True))}
    grids = {}
    for name in pc.unique(rows["name"]).to_pylist():
        name_rows = rows.filter(pc.equal(rows["name"], name))
        keys = zip(name_rows["store"].to_pylist(), name_rows["dept"].to_pylist(), strict=True)
        row = np.array([series.get(key, -1) for key in keys], dtype=np.int64)
        column = week_indices(name_rows["week"], grid.weeks, f"{name} week")
        grids[name] = to_grid(len(grid.store), len(grid.weeks), row, column, name_rows["value"].to_numpy())
    return grids


def _extra_columns(inputs: Inputs, features: FeatureSet) -> dict[str, Grid]:
    """Returns the covariate columns of ``sales_history``, each [series, weeks], as known at week t."""
    columns: dict[str, Grid] = {}
    for covariate in features.covariates:
        if covariate.of == "series_week":
            unknown = np.full((len(inputs.grid.store), len(inputs.grid.weeks) + MAX_HORIZON_WEEKS), np.nan)
            values = inputs.series_extras.get(covariate.name, unknown)
            if covariate.name == OPEN:
                values = _with_shut_stores(values, inputs)
            columns |= covariate_columns(values, covariate, features.horizon_weeks)
    return columns


def _with_shut_stores(values: Grid, inputs: Inputs) -> Grid:
    """Returns ``open`` of series, 0 where their store is shut: its opening and closing are of all of it."""
    stores = inputs.store_features
    if OPEN not in stores.externals:
        return values
    of_store = stores.externals[OPEN][np.searchsorted(stores.stores, inputs.grid.store)]
    return np.where(of_store == 0, 0.0, values)


def _alike_columns(inputs: Inputs, features: FeatureSet) -> dict[str, Grid]:
    """Returns the columns about the week of last year with the same holiday, each [series, weeks]."""
    if not has_own_holidays(features.sources):
        return {}
    weeks_back = _weeks_back(inputs)
    return alike_columns(inputs.grid, inputs.aggregates, weeks_back, features.horizon_weeks)


def _weeks_back(inputs: Inputs) -> Grid:
    """Returns the weeks back to the week of last year that is alike [series, weeks and those after them]."""
    grid, stores = inputs.grid, inputs.store_features
    unknown = np.full((len(stores.stores), len(grid.weeks) + MAX_HORIZON_WEEKS), np.nan)
    return stores.externals.get(WEEKS_BACK, unknown)[np.searchsorted(stores.stores, grid.store)]


def _structural_columns(inputs: Inputs, features: FeatureSet) -> dict[str, Grid]:
    """Returns the columns of the structural forecast, each [series, weeks]."""
    assert inputs.structural is not None
    weeks_back = _weeks_back(inputs) if has_own_holidays(features.sources) else None
    return structural_columns(inputs.structural, weeks_back, features.horizon_weeks)


def _lift_columns(inputs: Inputs, features: FeatureSet) -> dict[str, Grid]:
    """Returns the columns about the effect of plans, each [series, weeks]."""
    if not features.plans:
        return {}
    grid, stores = inputs.grid, inputs.store_features
    store = np.searchsorted(stores.stores, grid.store)
    of_series = {name: values[store] for name, values in stores.externals.items()} | inputs.series_extras
    plans = [(of_series[c.name], weeks_known_ahead(c)) for c in features.plans if c.name in of_series]
    return lift_columns(grid.sales, plans, features.horizon_weeks)


def write_series(directory: Path, number: int, rows: pa.Table) -> None:
    """Writes one series file."""
    _write(series_path(directory, number), rows)


def series_path(directory: Path, number: int) -> Path:
    """Returns the path of one series file."""
    return directory / f"series-{number:02}.parquet"


def write_shared(directory: Path, inputs: Inputs, features: FeatureSet) -> str:
    """Writes calendar.parquet, features.json, ids.json and levels.json; returns the feature set's version."""
    _write(directory / "calendar.parquet", calendar_rows(*inputs.weeks))
    write_ids(directory, inputs.ids)
    write_levels(directory, inputs.levels)
    version = feature_set_version(features)
    description = TrainingDataDescription(
        feature_set_version=version,
        horizon_weeks=features.horizon_weeks,
        features=features.model_features,
        hidden_weeks=int(inputs.grid.hidden.sum()) or None,
    )
    write_json(directory / "features.json", description)
    return version


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
    """Writes Parquet atomically: a reader sees the whole file or none."""
    temporary = path.with_name(f".{path.name}.partial")
    # Feature values rarely repeat: a dictionary would double the time of writing and save nothing.
    pq.write_table(rows, temporary, use_dictionary=False, compression="lz4")
    temporary.replace(path)
