"""Parts of a backtest that are scored by themselves, by the evaluate job and the backtest command alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.samples import Floats, Integers

Booleans = NDArray[np.bool_]

#: A series is new in its first year: no week of it has a last year.
NEW_WEEKS = 52


def slices(
    store_type: Floats, holiday: Booleans, mean_sales: Floats, dept: Integers, age_weeks: Floats
) -> dict[str, Booleans]:
    """Returns the rows [N] of each slice by name; of one that no row is in, all false.

    ``store_type=A..``, ``holiday=true|false``, ``new_series=true|false``; ``volume=low|medium|high`` is the
    third of the rows by mean sales, ``dept_group=low|medium|high`` that of the departments by their sum.

    Args:
        store_type: 1 for A, 2 for B, ..., [N].
        holiday: Whether the target week is a holiday week, [N].
        mean_sales: Of the series in the year that ends at the origin, US dollars, NaN for none known, [N].
        dept: [N].
        age_weeks: Since the series' first sales, NaN for none known, [N].
    """
    size = np.nan_to_num(mean_sales)
    depts, place = np.unique(dept, return_inverse=True)
    of_dept = np.bincount(place, weights=size, minlength=len(depts)).astype(np.float64)
    is_new = ~(age_weeks >= NEW_WEEKS)
    return {
        **{f"store_type={chr(64 + int(code))}": store_type == code for code in np.unique(store_type)},
        "holiday=true": holiday,
        "holiday=false": ~holiday,
        **{f"volume={third}": rows for third, rows in _thirds(size).items()},
        **{f"dept_group={third}": rows[place] for third, rows in _thirds(of_dept).items()},
        "new_series=true": is_new,
        "new_series=false": ~is_new,
    }


def _thirds(values: Floats) -> dict[str, Booleans]:
    """Returns which of the values are in the lowest, middle and highest third; equal ones stay together."""
    lower, upper = np.quantile(values, [1 / 3, 2 / 3])
    return {
        "low": values <= lower,
        "medium": (values > lower) & (values <= upper),
        "high": values > upper,
    }
