"""Totals of forecasts at a level, and their intervals.

A total is the sum of its series (bottom-up), so totals of all levels agree. Its quantiles lie at a share of
the summed distances of its series' quantiles from their medians. The share is calibrated on the errors of
totals themselves: the sum of the quantiles, a share of 1, would be too wide, since errors partly cancel out,
and independent errors would make it too narrow. Source of the sums: Hyndman and Athanasopoulos, Forecasting:
Principles and Practice, 3rd edition, chapter 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfcast.contracts.model import LevelScales
from shelfcast.levels import Groups

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Totals:
    """G totals of one level.

    Attributes:
        group: Group of each total, an index of ``Groups.names``, [G].
        week: Target week of each total, days since 1970-01-01, [G].
        horizon: Weeks ahead, [G].
        values: Sum of each value over the rows of the total, [G], by name.
        rows: Number of rows in each total, [G].
    """

    group: Integers
    week: Integers
    horizon: Integers
    values: dict[str, Floats]
    rows: Integers


def totals(groups: Groups, week: Integers, horizon: Integers, values: Mapping[str, Floats]) -> Totals:
    """Sums N rows by group, target week and weeks ahead; rows of no known member are in no total.

    Args:
        groups: Groups of the rows.
        week: Target week, days since 1970-01-01, [N].
        horizon: Weeks ahead, [N].
        values: Values to sum by name, each [N].
    """
    known = groups.of_series >= 0
    weeks, week_index = np.unique(week[known], return_inverse=True)
    horizons, horizon_index = np.unique(horizon[known], return_inverse=True)
    cell = (groups.of_series[known] * len(weeks) + week_index) * len(horizons) + horizon_index
    cells, index = np.unique(cell, return_inverse=True)
    return Totals(
        group=cells // (len(weeks) * len(horizons)),
        week=weeks[cells // len(horizons) % len(weeks)],
        horizon=horizons[cells % len(horizons)],
        values={
            name: np.bincount(index, value[known], len(cells)).astype(np.float64)
            for name, value in values.items()
        },
        rows=np.bincount(index, minlength=len(cells)),
    )


def interval(median: Floats, low: Floats, high: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Returns the lower and the upper quantile of G totals; predictor/totals.ts has the same formula.

    The lower one is below 0 only where the sum of the series' is.

    Args:
        median: Sum of the medians, [G].
        low: Sum of the lower quantiles, [G].
        high: Sum of the upper quantiles, [G].
        scale: Share of the summed distances, [G].
    """
    lower = np.maximum(median - scale * (median - low), np.minimum(low, 0))
    return lower, median + scale * (high - median)


def scales_at(scales: LevelScales, horizon: Integers) -> tuple[Floats, Floats]:
    """Returns the shares of the inner and the outer quantiles of G totals, [G] each."""
    ahead = np.minimum(horizon, len(scales.coverage80)) - 1
    return np.array(scales.coverage80)[ahead], np.array(scales.coverage95)[ahead]
