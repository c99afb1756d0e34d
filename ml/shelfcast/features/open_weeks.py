"""Weeks whose sales say nothing about demand: they are unknown in features, and no target.

In a closed week the covariate ``open`` is 0: a store or a series is announced to be shut, and the forecast is
0. In a censored week a series was out of stock for some time, and its sales are less than its demand; nobody
knows of it in advance, so it has a forecast as any other. A week without a value is open and in stock.
A series that was out of stock for more than a year has ended (``SalesGrid.without``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from shelfcast.contracts.specs import AVAILABLE_ROWS
from shelfcast.snapshot import OPEN_ROWS, Covariate

OPEN = OPEN_ROWS
OPEN_AHEAD = f"{OPEN}_ahead"
#: A closure counts whenever it was announced: no forecast of its week is scored.
KNOWN_AFTER_WEEKS = -52
DESCRIPTION = "0 in a week in which the store or the series is shut"
#: Share of the week in which a series was in stock. No feature has it: how the stock of a week ended says
#: nothing about the demand of the next.
AVAILABLE = Covariate(AVAILABLE_ROWS, "series_week", 0, "share of the week in stock")


def hidden_weeks(
    store: NDArray[np.int64],
    stores: NDArray[np.int64],
    of_stores: Mapping[str, NDArray[np.float64]],
    of_series: Mapping[str, NDArray[np.float64]],
    weeks: int,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns whether each series is shut, and whether it was out of stock, in each week [series, weeks].

    Args:
        store: Store of each series.
        stores: Store numbers in ascending order.
        of_stores: Grid of each covariate of stores by name, as ``weekly_values.to_grid`` returns it.
        of_series: Grid of each covariate of series by name.
        weeks: Number of weeks with sales.
    """
    closed = np.zeros((len(store), weeks), dtype=bool)
    out_of_stock = np.zeros_like(closed)
    if OPEN in of_stores:
        closed |= of_stores[OPEN][np.searchsorted(stores, store), :weeks] == 0
    if OPEN in of_series:
        closed |= of_series[OPEN][:, :weeks] == 0
    if AVAILABLE.name in of_series:
        out_of_stock = of_series[AVAILABLE.name][:, :weeks] < 1
    return closed, out_of_stock
