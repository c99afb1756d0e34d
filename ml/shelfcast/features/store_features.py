"""Columns of the ``store_externals`` and ``store_attributes`` views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfcast.features.definitions import STORE_EXTERNALS, FeatureSet, missing_flag
from shelfcast.features.weekly_values import covariate_columns, to_grid, week_indices

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StoreFeatures:
    """Covariates of the stores of a snapshot.

    Attributes:
        stores: Store numbers in ascending order, int64 [stores].
        externals: Grid of each weekly covariate by name, as ``weekly_values.to_grid`` returns it.
        attributes: Static covariates by name, each [stores]; NaN where unknown.
    """

    stores: NDArray[np.int64]
    externals: dict[str, Floats]
    attributes: dict[str, Floats]


def store_features(
    stores: NDArray[np.int64],
    weeks: NDArray[np.datetime64],
    store_weeks: pa.Table,
    store_rows: pa.Table,
    extras: pa.Table,
) -> StoreFeatures:
    """Returns the covariates of these stores and weeks.

    Args:
        stores: Stores with sales, in ascending order.
        weeks: Weeks with sales, all from first to last. Rows of later weeks are read only for covariates
            known in advance.
        store_weeks: Rows as ``snapshot.read_store_weeks`` returns them.
        store_rows: ``store``, ``type_code`` and ``size``, the last two null where unknown; a store without
            a row has neither.
        extras: Rows of stores as a whole, as ``snapshot.read_extras`` returns them.

    Raises:
        UserError: A week is not whole weeks from the sales.
    """
    static = extras.filter(extras["week"].is_null())
    weekly = extras.filter(extras["week"].is_valid())
    externals = _externals(stores, weeks, store_weeks) | extra_weeks(stores, weeks, weekly)
    return StoreFeatures(
        stores, externals, _attributes(stores, store_rows) | _extra_attributes(stores, static)
    )


def external_columns(stores: StoreFeatures, features: FeatureSet) -> dict[str, Floats]:
    """Returns the columns of ``store_externals``, each [stores, weeks]: at week t the values known then."""
    weekly = [covariate for covariate in features.sources.values() if covariate.of == "store_week"]
    unknown = np.full_like(stores.externals[STORE_EXTERNALS[0]], np.nan)
    columns: dict[str, Floats] = {}
    for covariate in weekly:
        values = stores.externals.get(covariate.name, unknown)
        columns |= covariate_columns(values, covariate, features.horizon_weeks)
    for name in STORE_EXTERNALS:
        columns[missing_flag(name)] = np.isnan(columns[name]).astype(np.float64)
    return {name: columns[name] for name in features.view_columns["store_externals"]}


def attribute_columns(stores: StoreFeatures, features: FeatureSet) -> dict[str, Floats]:
    """Returns the columns of ``store_attributes``, each [stores]."""
    unknown = np.full(len(stores.stores), np.nan)
    return {name: stores.attributes.get(name, unknown) for name in features.view_columns["store_attributes"]}


def _externals(stores: NDArray[np.int64], weeks: NDArray[np.datetime64], rows: pa.Table) -> dict[str, Floats]:
    column = week_indices(rows["week"], weeks, "store week")
    row = _store_rows(stores, rows)
    return {
        name: to_grid(len(stores), len(weeks), row, column, rows[name].to_numpy()) for name in STORE_EXTERNALS
    }


def extra_weeks(
    stores: NDArray[np.int64], weeks: NDArray[np.datetime64], rows: pa.Table
) -> dict[str, Floats]:
    """Returns the grid of each covariate of stores and weeks by name, as ``weekly_values.to_grid`` does."""
    grids = {}
    for name in pc.unique(rows["name"]).to_pylist():
        name_rows = rows.filter(pc.equal(rows["name"], name))
        column = week_indices(name_rows["week"], weeks, f"{name} week")
        values = name_rows["value"].to_numpy()
        grids[name] = to_grid(len(stores), len(weeks), _store_rows(stores, name_rows), column, values)
    return grids


def _extra_attributes(stores: NDArray[np.int64], rows: pa.Table) -> dict[str, Floats]:
    attributes = {}
    for name in pc.unique(rows["name"]).to_pylist():
        name_rows = rows.filter(pc.equal(rows["name"], name))
        row = _store_rows(stores, name_rows)
        attributes[name] = np.full(len(stores), np.nan)
        attributes[name][row[row >= 0]] = name_rows["value"].to_numpy()[row >= 0]
    return attributes


def _store_rows(stores: NDArray[np.int64], rows: pa.Table) -> NDArray[np.int64]:
    """Returns the index of each row's store, -1 for a store without sales."""
    store = rows["store"].to_numpy()
    index = np.minimum(np.searchsorted(stores, store), len(stores) - 1)
    return np.where(stores[index] == store, index, -1)


def _attributes(stores: NDArray[np.int64], rows: pa.Table) -> dict[str, Floats]:
    row = _store_rows(stores, rows)
    attributes = {}
    for name in ("type_code", "size"):
        attributes[name] = np.full(len(stores), np.nan)
        attributes[name][row[row >= 0]] = rows[name].to_numpy()[row >= 0]
    return attributes
