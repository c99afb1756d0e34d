"""Weeks in which a store or a series is announced to be shut: the covariate ``open`` is 0.

Sales of such a week say nothing about demand, so it is unknown in features and no target. A forecast for it
is 0. A week without a value is open.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

OPEN = "open"
OPEN_AHEAD = f"{OPEN}_ahead"
#: A closure counts whenever it was announced: no forecast of its week is scored.
KNOWN_AFTER_WEEKS = -52
DESCRIPTION = "0 in a week in which the store or the series is shut"


def closed_weeks(
    store: NDArray[np.int64],
    stores: NDArray[np.int64],
    of_stores: Mapping[str, NDArray[np.float64]],
    of_series: Mapping[str, NDArray[np.float64]],
    weeks: int,
) -> NDArray[np.bool_]:
    """Returns whether each series is shut in each week with sales, [series, weeks].

    Args:
        store: Store of each series.
        stores: Store numbers in ascending order.
        of_stores: Grid of each covariate of stores by name, as ``weekly_values.to_grid`` returns it.
        of_series: Grid of each covariate of series by name.
        weeks: Number of weeks with sales.
    """
    closed = np.zeros((len(store), weeks), dtype=bool)
    if OPEN in of_stores:
        closed |= of_stores[OPEN][np.searchsorted(stores, store), :weeks] == 0
    if OPEN in of_series:
        closed |= of_series[OPEN][:, :weeks] == 0
    return closed
