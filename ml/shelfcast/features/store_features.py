"""Columns of the ``store_externals`` and ``store_attributes`` views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfcast.features.definitions import STORE_EXTERNALS
from shelfcast.job import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StoreFeatures:
    """What is known of the stores of a snapshot.

    Attributes:
        stores: Ascending, int64 [stores].
        externals: ``store_externals`` by column, each [stores, weeks]; NaN where unknown.
        attributes: ``store_attributes`` by column, each [stores].
    """

    stores: NDArray[np.int64]
    externals: dict[str, Floats]
    attributes: dict[str, Floats]


def store_features(
    stores: NDArray[np.int64], weeks: NDArray[np.datetime64], store_weeks: pa.Table, store_rows: pa.Table
) -> StoreFeatures:
    """Returns the features of these stores (ascending) and weeks (each from first to last).

    Args:
        stores: Those that have sales.
        weeks: Those of the sales; rows of other weeks are not used, since no origin is there.
        store_weeks: As ``snapshot.read_store_weeks`` returns them.
        store_rows: As ``snapshot.read_stores`` returns them.

    Raises:
        UserError: A store has no row or a type that is no letter; a week is not whole weeks from the sales.
    """
    return StoreFeatures(stores, _externals(stores, weeks, store_weeks), _attributes(stores, store_rows))


def _externals(stores: NDArray[np.int64], weeks: NDArray[np.datetime64], rows: pa.Table) -> dict[str, Floats]:
    store = rows["store"].to_numpy()
    day = rows["week"].to_numpy().astype("datetime64[D]")
    column, remainder = np.divmod((day - weeks[0]).astype(np.int64), 7)
    if remainder.any():
        odd = day[remainder.argmax()]
        message = f"the store week {odd} is not whole weeks from the first sales week, {weeks[0]}"
        raise UserError("BadData", message)
    used = np.isin(store, stores) & (column >= 0) & (column < len(weeks))
    row, column = np.searchsorted(stores, store[used]), column[used]
    externals = {}
    for name in STORE_EXTERNALS:
        externals[name] = np.full((len(stores), len(weeks)), np.nan)
        externals[name][row, column] = rows[name].to_numpy()[used]
    return externals


def _attributes(stores: NDArray[np.int64], rows: pa.Table) -> dict[str, Floats]:
    known = {row["store"]: row for row in rows.to_pylist()}
    unknown = [str(store) for store in stores.tolist() if store not in known]
    if unknown:
        raise UserError(
            "BadData", f"stores {', '.join(unknown)} have sales but no type and size; add their rows"
        )
    used = [known[store] for store in stores.tolist()]
    return {
        "type_code": np.array([_type_code(row["store"], row["type"]) for row in used]),
        "size": np.array([row["size"] for row in used], dtype=np.float64),
    }


def _type_code(store: int, type_: str) -> float:
    if len(type_) != 1 or not "A" <= type_ <= "Z":
        raise UserError("BadData", f"store {store} has the type {type_!r}; it must be a letter A to Z")
    return float(ord(type_) - ord("A") + 1)
