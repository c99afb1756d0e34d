"""Slices of a backtest that are scored separately, in the evaluate job and the backtest command."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.definitions import ROLLING_WEEKS
from shelfcast.features.samples import Floats, Integers
from shelfcast.ids import PLAIN_IDS, Ids

Booleans = NDArray[np.bool_]

#: Age in weeks below which a series is new: its target weeks have no week one year earlier.
NEW_WEEKS = 52
#: Age in weeks below which a series is a cold start: it has fewer weeks than the shortest mean.
COLD_WEEKS = min(ROLLING_WEEKS)
#: Number of store types that have a slice, those with the most rows.
MAX_TYPES = 26


def slices(
    store_type: Floats,
    holiday: Booleans,
    mean_sales: Floats,
    dept: Integers,
    age_weeks: Floats,
    ids: Ids = PLAIN_IDS,
) -> dict[str, Booleans]:
    """Returns a mask [N] of each slice by name; masks may be all false.

    ``store_type=A..`` (``NA``: unknown), ``holiday=true|false``, ``new_series=true|false``;
    ``volume=low|medium|high`` is the third of the rows by mean sales, ``dept_group=low|medium|high`` the
    third of the departments by their sum; ``cold_start=true`` has series with little or no history.

    Args:
        store_type: Number of the store type, NaN where unknown, [N].
        holiday: Whether the target week is a holiday week, [N].
        mean_sales: Mean weekly sales of the series in the year up to the origin, US dollars; NaN without
            sales, [N].
        dept: Department number, [N].
        age_weeks: Weeks since the series' first sales, 0 at the first; NaN without sales, [N].
        ids: Ids of the types.
    """
    size = np.nan_to_num(mean_sales)
    dept_index = np.unique(dept, return_inverse=True)[1]
    dept_size = np.bincount(dept_index, weights=size).astype(np.float64)
    is_new = ~(age_weeks >= NEW_WEEKS)
    is_cold = ~(age_weeks >= COLD_WEEKS - 1)
    unknown_type = np.isnan(store_type)
    types, rows = np.unique(store_type[~unknown_type], return_counts=True)
    types = np.sort(types[np.argsort(-rows, kind="stable")[:MAX_TYPES]])
    return {
        **{f"store_type={ids.id('type', int(number))}": store_type == number for number in types},
        **({"store_type=NA": unknown_type} if unknown_type.any() else {}),
        "holiday=true": holiday,
        "holiday=false": ~holiday,
        **{f"volume={third}": rows for third, rows in _thirds(size).items()},
        **{f"dept_group={third}": rows[dept_index] for third, rows in _thirds(dept_size).items()},
        "new_series=true": is_new,
        "new_series=false": ~is_new,
        **({"cold_start=true": is_cold} if is_cold.any() else {}),
    }


def _thirds(values: Floats) -> dict[str, Booleans]:
    """Returns masks of the lowest, middle and highest third of the values; equal values stay together."""
    lower, upper = np.quantile(values, [1 / 3, 2 / 3])
    return {
        "low": values <= lower,
        "medium": (values > lower) & (values <= upper),
        "high": values > upper,
    }
