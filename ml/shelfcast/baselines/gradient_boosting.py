"""Gradient-boosted trees on the same features as the model, fitted by ``models.boosting``.

Holiday weeks have weight ``HOLIDAY_WEIGHT``, as in WMAE. One model covers all horizons, with the horizon as
an input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import lightgbm
import numpy as np
from numpy.typing import NDArray

from shelfcast.calendar import HOLIDAY_WEIGHT
from shelfcast.features.definitions import STRUCTURAL
from shelfcast.features.feature_groups import DOLLARS, read_names
from shelfcast.features.own_holidays import holiday_flag
from shelfcast.features.samples import Floats, Integers, OriginTable
from shelfcast.models.boosting import boost

#: Unit of US dollars: ``relative`` divides a row by the series' recent level, ``absolute`` does not.
Variant = Literal["relative", "absolute"]

ROUNDS = 500
#: Variant and seed of each model in the average of four.
_FOUR: tuple[tuple[Variant, int], ...] = (("relative", 1), ("relative", 2), ("absolute", 3), ("absolute", 4))
#: Minimum level of a series.
_MIN_LEVEL_USD = 10.0


@dataclass(frozen=True)
class GradientBoosting:
    """Fitted trees; the forecast is the mean over all boosters.

    Attributes:
        boosters: Boosters, each with its variant.
    """

    boosters: tuple[tuple[Variant, lightgbm.Booster], ...]

    def predict(self, table: OriginTable, rows: Integers, horizons: Integers) -> Floats:
        """Returns the forecasts of N rows of the table at their horizons, US dollars [N]."""
        forecasts = []
        for variant, booster in self.boosters:
            inputs, unit = _inputs(table, rows, horizons, variant)
            forecasts.append(np.asarray(booster.predict(inputs)) * unit)
        mean: Floats = np.mean(forecasts, axis=0)
        return mean


def fit(
    table: OriginTable, rows: Integers, horizons: Integers, variant: Variant = "relative", seed: int = 1
) -> GradientBoosting:
    """Fits trees to N rows of the table at their horizons; deterministic in rows and seed.

    Raises:
        ValueError: There are no rows, or a target is unknown.
    """
    target = table.targets[rows, horizons - 1]
    known = int(np.isfinite(target).sum())
    if known == 0 or known < len(rows):
        raise ValueError(f"{known} of {len(rows)} targets are known; trees need some rows, all with a target")
    inputs, unit = _inputs(table, rows, horizons, variant)
    names = _names(table)
    is_holiday = inputs[:, names.index(holiday_flag(names))] == 1
    weight = np.where(is_holiday, HOLIDAY_WEIGHT, 1.0)
    return GradientBoosting(((variant, boost(inputs, target, unit, weight, ROUNDS, seed)),))


def average_of_four(table: OriginTable, rows: Integers, horizons: Integers) -> GradientBoosting:
    """Fits two models of each variant with different seeds; see ``fit``."""
    fitted = [fit(table, rows, horizons, variant, seed) for variant, seed in _FOUR]
    return GradientBoosting(tuple(booster for model in fitted for booster in model.boosters))


def _names(table: OriginTable) -> list[str]:
    """Returns the features that are inputs: those that the networks may read, without the structural one."""
    return [name for name in read_names([feature.name for feature in table.features]) if name != STRUCTURAL]


def _inputs(
    table: OriginTable, rows: Integers, horizons: Integers, variant: Variant
) -> tuple[NDArray[np.float64], Floats]:
    """Returns the inputs, features first [N, F + 3], and the unit of the target, US dollars [N]."""
    names = _names(table)
    features = table.matrix(rows, horizons)
    left_out = [column for column, feature in enumerate(table.features) if feature.name not in names]
    features = np.delete(features, left_out, axis=1) if left_out else features
    unit = np.ones(len(rows))
    if variant == "relative":
        means = features[:, [names.index("rolling_mean_13"), names.index("rolling_mean_52")]]
        unit = np.fmax.reduce([*means.T, np.full(len(rows), _MIN_LEVEL_USD)])
        dollars = [column for column, name in enumerate(names) if name in DOLLARS]
        features[:, dollars] /= unit[:, np.newaxis]
    return np.column_stack([features, table.store[rows], table.dept[rows], horizons]), unit
