"""Formula of ``planned_lift``: the effect that a plan, known in advance, had on the series' sales so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shelfcast.features.definitions import PLANNED_LIFT
from shelfcast.features.sales_history import Columns, Grid, ratio, rolling_median, shift

#: Weeks before a week whose median is its usual level; a median does not see promotions in fewer than half.
_USUAL_WEEKS = 13
#: Least number of weeks with a value from which its effect is known.
_LEAST_WEEKS = 3


def lift_columns(sales: Grid, plans: Sequence[tuple[Grid, int]], horizon_weeks: int) -> Columns:
    """Returns ``planned_lift_h1`` .., each [series, weeks].

    Args:
        sales: Weekly sales [series, weeks].
        plans: Values of each covariate known in advance, as ``weekly_values.to_grid`` returns them for each
            series, and how many weeks ahead it is known.
        horizon_weeks: Largest number of weeks ahead.
    """
    usual = shift(rolling_median(sales, _USUAL_WEEKS), 1)
    columns: Columns = {
        f"{PLANNED_LIFT}_h{h}": np.full_like(sales, np.nan) for h in range(1, horizon_weeks + 1)
    }
    for values, known_ahead in plans:
        for h, lift in _lifts(sales, usual, values, min(known_ahead, horizon_weeks)):
            strongest = columns[f"{PLANNED_LIFT}_h{h}"]
            distance, so_far = (np.abs(np.log(np.maximum(each, 1e-9))) for each in (lift, strongest))
            is_stronger = ~np.isnan(lift) & ~(distance <= so_far)
            columns[f"{PLANNED_LIFT}_h{h}"] = np.where(is_stronger, lift, strongest)
    return columns


def _lifts(sales: Grid, usual: Grid, values: Grid, last_horizon: int) -> Iterator[tuple[int, Grid]]:
    """Yields the number of weeks ahead, and the sum of sales over the sum of usual levels [series, weeks].

    The sums are over the weeks up to the origin with the value of the target week.
    """
    series, weeks = sales.shape
    _, codes = np.unique(values, return_inverse=True)
    code: NDArray[np.int64] = codes.reshape(values.shape)
    group = np.arange(series)[:, np.newaxis] * (code.max(initial=0) + 1) + code
    counts = ~np.isnan(values[:, :weeks]) & ~np.isnan(sales) & (usual > 0)
    row, week = np.nonzero(counts)
    order = np.lexsort((week, group[row, week]))
    row, week = row[order], week[order]
    owner = group[row, week]
    # Sums of single groups, in order of weeks: what follows changes no bit of them.
    sums = pd.DataFrame({"sales": sales[row, week], "usual": usual[row, week]}).groupby(owner)
    sold, level, number = (
        s.to_numpy() for s in (*(sums.cumsum()[c] for c in ("sales", "usual")), sums.cumcount())
    )
    place = owner * weeks + week
    for h in range(1, last_horizon + 1):
        wanted = group[:, h : weeks + h]
        newest = np.searchsorted(place, wanted * weeks + np.arange(weeks), side="right") - 1
        at = np.maximum(newest, 0)
        known = (newest >= 0) & ~np.isnan(values[:, h : weeks + h])
        if len(owner) > 0:
            known &= (owner[at] == wanted) & (number[at] + 1 >= _LEAST_WEEKS)
            yield h, np.where(known, ratio(sold[at], level[at]), np.nan)
