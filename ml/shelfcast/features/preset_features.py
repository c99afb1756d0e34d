"""Features that each preset uses: those of the networks, and those of the simple forecasts.

The groups of the simple forecasts are not in ``feature_groups``, whose code is part of the feature set's
version: a preset that reads features which exist must not make other models old.
"""

from __future__ import annotations

from shelfcast.features import feature_groups, intermittent, own_holidays
from shelfcast.features.definitions import DEPT_LAGS, LAGS, STRUCTURAL, Feature, FeatureSet
from shelfcast.features.open_weeks import OPEN_AHEAD

OWN_NEWEST_FIRST = ("sales_0", *(f"lag_{weeks}" for weeks in LAGS))
DEPT_NEWEST_FIRST = ("dept_mean_0", *(f"dept_lag_{weeks}" for weeks in DEPT_LAGS), "dept_mean_4")
#: Means and standard deviations of the series, the first known one counts.
MEANS = ("rolling_mean_13", "rolling_mean_52")
SPREADS = ("rolling_std_13", "rolling_std_52")
#: Weeks of the moving averages that compete.
MOVING_AVERAGE_WEEKS = (4, 13, 52)
LAST_YEAR_NEIGHBOURS = ("last_year_before", "last_year_after")
GROWTH = ("year_on_year_13", "dept_year_on_year_13", "store_year_on_year_13")
#: Features by which a network and a formula know a series without any sales so far.
_HISTORY = ("weeks_since_first", *MEANS, "last_year")

_NAIVE = frozenset((*OWN_NEWEST_FIRST, *DEPT_NEWEST_FIRST, *MEANS, *SPREADS, *_HISTORY))
_MOVING_AVERAGE = _NAIVE | {f"rolling_mean_{weeks}" for weeks in MOVING_AVERAGE_WEEKS}
_SEASONAL_AVERAGE = _NAIVE | {*LAST_YEAR_NEIGHBOURS, *GROWTH, "dept_season", "christmas_shift"}
_STRUCTURAL = _NAIVE | {STRUCTURAL, "dept_season"}
_INTERMITTENT = _NAIVE | {"rolling_mean_52"}
#: Feature that a season is made of -> the one that takes its place in a data set with holidays of its own.
_ALIKE = {LAST_YEAR_NEIGHBOURS[0]: own_holidays.LAST_YEAR, "dept_season": own_holidays.DEPT_SEASON}
#: Simple forecast -> its features; of covariates it uses only ``OPEN_AHEAD``.
_SIMPLE: dict[str, frozenset[str]] = {
    "naive": _NAIVE,
    "seasonal_naive": _NAIVE,
    "moving_average": _MOVING_AVERAGE,
    "seasonal_average": _SEASONAL_AVERAGE,
    "structural": _STRUCTURAL,
    "croston": _INTERMITTENT | {*intermittent.CROSTON},
    "tsb": _INTERMITTENT | {*intermittent.TSB},
    "simple": _MOVING_AVERAGE | _SEASONAL_AVERAGE | _STRUCTURAL | {*intermittent.FEATURES},
}
#: Preset -> features that every data set has. A network also uses all covariates of its data set.
PRESET_FEATURES: dict[str, frozenset[str]] = {**feature_groups.NETWORK_FEATURES, **_SIMPLE}


def preset_features(preset: str, features: FeatureSet) -> list[Feature]:
    """Returns the features that a model of the preset uses."""
    if preset not in _SIMPLE:
        return feature_groups.preset_features(preset, features)
    used = _SIMPLE[preset] | {OPEN_AHEAD}
    # In a data set with holidays of its own, each has another one that looks at the week that is alike.
    used |= {alike for usual, alike in _ALIKE.items() if usual in used}
    return [feature for feature in features.features if feature.name in used]
