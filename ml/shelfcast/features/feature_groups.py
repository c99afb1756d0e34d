"""Groups of features, and the features that each preset of a network uses."""

from __future__ import annotations

from collections.abc import Sequence

from shelfcast.contracts.model import ModelFeature
from shelfcast.features import intermittent, own_holidays
from shelfcast.features.definitions import (
    DEPT_LAGS,
    LAST_YEAR_OFFSETS,
    ROLLING_WEEKS,
    STORE_EXTERNALS,
    STRUCTURAL,
    Feature,
    FeatureSet,
)

#: Features of the series and its department in US dollars.
OWN_DOLLARS = (
    "sales_0",
    *(f"lag_{n}" for n in (1, 2, 3, 4, 8, 13, 26, 51, 52)),
    *(f"rolling_{stat}_{n}" for stat in ("mean", "std", "median") for n in ROLLING_WEEKS),
    "rolling_min_13",
    "rolling_max_13",
    "last_year_mean_4",
    "last_year_mean_13",
    "last_year",
    "last_year_before",
    "last_year_after",
    "dept_mean_0",
    "dept_mean_4",
    STRUCTURAL,
)
#: The 13 weeks up to the origin in US dollars, newest first: of the series and of its department.
OWN_WINDOW = ("sales_0", *(f"lag_{n}" for n in range(1, 13)))
DEPT_WINDOW = ("dept_mean_0", *(f"dept_lag_{n}" for n in DEPT_LAGS))
#: The weeks around the target week one year before, US dollars, in order of time.
LAST_YEAR_WINDOW = tuple(f"last_year{end}" for end in LAST_YEAR_OFFSETS)
#: All features in US dollars, which scale with the size of the series.
DOLLARS = frozenset((*OWN_DOLLARS, *OWN_WINDOW, *DEPT_WINDOW, *LAST_YEAR_WINDOW, own_holidays.LAST_YEAR))
RATIOS = (
    "trend_4_13",
    "year_on_year_4",
    "year_on_year_13",
    "dept_trend_4_13",
    "dept_year_on_year_13",
    "store_trend_4_13",
    "store_year_on_year_13",
    "dept_season",
)
PLAIN = (
    "observed_weeks_13",
    "weeks_since_first",
    "share_of_store",
    *STORE_EXTERNALS,
    "type_code",
    "size",
    "is_holiday",
    "is_holiday_last_year",
    "december_days_before_christmas",
    "christmas_shift",
    "easter_shift",
)
#: Holidays with a feature ``weeks_to_<name>``.
NAMED_HOLIDAYS = ("super_bowl", "labor_day", "thanksgiving", "christmas", "easter")
#: Holidays that a data set with holidays of its own keeps: their dates matter there, or are one more season.
NAMED_EVERYWHERE = ("christmas", "easter")
#: Features that nothing reads where the data set has holidays of its own.
_AMERICAN = own_holidays.REPLACED | {
    f"{kind}_{name}" for name in NAMED_HOLIDAYS if name not in NAMED_EVERYWHERE for kind in ("is", "weeks_to")
}
#: Inputs of the preset ``mlp-11``, in their order.
MLP_11 = (
    "sales_0",
    "lag_1",
    "lag_2",
    "lag_4",
    "lag_52",
    "rolling_mean_4",
    "rolling_mean_13",
    "rolling_std_4",
    "size",
    "week_of_year",
    "is_holiday",
)
#: Levels that the preset ``mlp-11`` falls back on where a series lacks its own.
MLP_11_LEVELS = ("rolling_mean_52", "dept_mean_4")
#: Inputs of the preset ``lstm``: past weeks, the target week, and the level of the series.
_LSTM = (
    *OWN_WINDOW,
    *DEPT_WINDOW,
    *LAST_YEAR_WINDOW,
    *(f"weeks_to_{name}" for name in NAMED_HOLIDAYS),
    "week_of_year",
    "is_holiday",
    "is_holiday_last_year",
    "december_days_before_christmas",
    "christmas_shift",
    "easter_shift",
    "weeks_since_first",
    "rolling_mean_4",
    "rolling_mean_13",
    "rolling_mean_52",
    "rolling_median_13",
    "rolling_std_13",
    "last_year_mean_13",
    "dept_mean_4",
    "dept_season",
    STRUCTURAL,
    "year_on_year_13",
    "dept_year_on_year_13",
    "store_year_on_year_13",
    "type_code",
    "size",
)
_GLOBAL = (*OWN_DOLLARS, *RATIOS, *PLAIN, *_LSTM)
#: Preset -> features that every data set has. A network also uses all covariates of its data set.
NETWORK_FEATURES: dict[str, frozenset[str]] = {
    "ensemble": frozenset(_GLOBAL),
    "global": frozenset(_GLOBAL),
    "lstm": frozenset(_LSTM),
    "mlp-11": frozenset((*MLP_11, *MLP_11_LEVELS)),
}


def covariate_names(features: Sequence[ModelFeature]) -> list[str]:
    """Returns the names of the features made of the data set's own covariates, in order."""
    usual = {feature.name for feature in FeatureSet(horizon_weeks=1).model_features}
    usual |= own_holidays.FEATURES | set(intermittent.FEATURES)
    return [feature.name for feature in features if feature.name not in usual]


def read_names(names: Sequence[str]) -> list[str]:
    """Returns the features of a data set that a forecast may read, of all their names."""
    left_out = _AMERICAN if own_holidays.has_own_holidays(names) else frozenset()
    return [name for name in names if name not in left_out]


def used_names(preset: str, features: Sequence[ModelFeature]) -> frozenset[str]:
    """Returns the names of the features that a network of the preset uses, of all features of a data set."""
    names = {feature.name for feature in features}
    used = NETWORK_FEATURES[preset] | set(covariate_names(features))
    if own_holidays.has_own_holidays(names):
        used = used - _AMERICAN | own_holidays.FEATURES
    return used & names


def preset_features(preset: str, features: FeatureSet) -> list[Feature]:
    """Returns the features that a network of the preset uses."""
    used = used_names(preset, features.model_features)
    return [feature for feature in features.features if feature.name in used]
